/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/secret.h"

#include <string.h>

#include "policy/keys.h"
#include "policy/path.h"
#include "policy/suggest.h"

#define BLANKS " \t"

/* What may stand behind a key that is one, or is meant to be. */
#define BEHIND_KEY "=:" BLANKS

static void hide(char *from, size_t length) {
        for (size_t i = 0; i < length; ++i)
                if (!strchr(BLANKS, from[i]))
                        from[i] = '*';
}

/** The next word from `*at` on. @return NULL at the end */
static char *next_word(char **at, size_t *ret_length) {
        char *word = *at + strspn(*at, BLANKS);

        *ret_length = strcspn(word, BLANKS);
        *at = word + *ret_length;
        return *ret_length > 0 ? word : NULL;
}

/* ---- what stands behind keys that are ---- */

/** Whether a word can be what ProxyPassword= has: a file, or none. */
static bool names_a_file(const char *word, size_t length) {
        size_t prefix = strlen(POLICY_CREDENTIAL_PREFIX);

        return word[0] == '/' || (word[0] == '-' && length == 1) ||
               (length >= prefix && memcmp(word, POLICY_CREDENTIAL_PREFIX, prefix) == 0);
}

static void hide_bare_passwords(char *value) {
        size_t length;

        for (char *word = next_word(&value, &length); word; word = next_word(&value, &length))
                if (!names_a_file(word, length))
                        hide(word, length);
}

/** The one of a URL, or of what was meant to be one: behind the user's name, in front of the last `@`. */
static void hide_in_url(char *word, size_t length) {
        char *at = memrchr(word, '@', length), *scheme = memmem(word, length, "://", strlen("://"));
        char *authority = scheme ? scheme + strlen("://") : word, *colon;

        if (!at)
                return;
        if (authority > at)
                authority = word;
        colon = memchr(authority, ':', (size_t)(at - authority));
        if (colon)
                hide(colon + 1, (size_t)(at - colon) - 1);
}

/* ---- lines ---- */

static bool has_url(const char *word, size_t length) {
        return memmem(word, length, "://", strlen("://")) != NULL;
}

/** @param always  whether the words are URLs, also those that do not look it */
static void hide_in_urls(char *value, bool always) {
        size_t length;

        for (char *word = next_word(&value, &length); word; word = next_word(&value, &length))
                if (always || has_url(word, length))
                        hide_in_url(word, length);
}

/** Whether what should be a key sounds as if a password stood behind it. */
static bool sounds_secret(const char *key, size_t length) {
        static const char *const sounds[] = { "auth", "cred", "login", "pass", "prox", "pwd", "secret", "token" };
        size_t distance = 0;

        for (size_t i = 0; i < sizeof(sounds) / sizeof(sounds[0]); ++i)
                for (size_t at = 0; at + strlen(sounds[i]) <= length; ++at)
                        if (strncasecmp(key + at, sounds[i], strlen(sounds[i])) == 0)
                                return true;
        return policy_suggest(key, length, keys_name(PARSER_KEY_PROXY), NULL, &distance) ||
               policy_suggest(key, length, keys_name(PARSER_KEY_PROXY_PASSWORD), NULL, &distance);
}

static bool is_key(const char *text, size_t length, enum parser_key key) {
        return strlen(keys_name(key)) == length && memcmp(text, keys_name(key), length) == 0;
}

bool policy_secret_hide(char *line) {
        char *key = line + strspn(line, BLANKS);
        size_t length = strcspn(key, BEHIND_KEY), whole = strcspn(key, "=:");
        char *value = key + length + strspn(key + length, BLANKS);
        bool is_assigned = *value == '=' || *value == ':';

        if (*key == '#' || *key == ';' || *key == '[')
                return false;
        value += is_assigned;
        if (!(is_assigned && keys_is_one(key, length)) && sounds_secret(key, whole)) {
                hide(value, strlen(value));
                return true;
        }
        if (is_key(key, length, PARSER_KEY_PROXY_PASSWORD))
                hide_bare_passwords(value);
        else
                hide_in_urls(value, is_key(key, length, PARSER_KEY_PROXY));
        return false;
}
