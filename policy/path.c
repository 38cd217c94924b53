/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CREDENTIAL_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."

static int check_credential(const char *name, struct policy_complaint *ret_complaint) {
        size_t prefix = strlen(POLICY_CREDENTIAL_PREFIX), good = strspn(name, CREDENTIAL_CHARACTERS);

        if (name[0] == '\0')
                return policy_complain(ret_complaint, prefix, "the credential has no name: credential:NAME");
        if (name[good] != '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
                return policy_complain(ret_complaint, prefix,
                                       "a credential's name is made of letters, digits, \"-\", \"_\" and \".\" of "
                                       "ASCII");
        return 0;
}

int policy_path_check(const char *text, struct policy_complaint *ret_complaint) {
        size_t length = strlen(text), prefix = strlen(POLICY_CREDENTIAL_PREFIX);

        if (strncmp(text, POLICY_CREDENTIAL_PREFIX, prefix) == 0)
                return check_credential(text + prefix, ret_complaint);
        if (text[0] != '/')
                return policy_complain(ret_complaint, 0,
                                       "a file is a path from the root, such as /etc/netbroker/ca.pem, or "
                                       "credential:NAME");
        if (text[length - 1] == '/')
                return policy_complain(ret_complaint, length - 1, "this is a directory, and a file is expected");
        return 0;
}

int policy_path_set(struct parser *p, struct policy_path *path, const char *word) {
        int r = policy_path_check(word, &p->complaint);
        char *copy;

        if (r < 0)
                return r;
        copy = strdup(word);
        if (!copy)
                return -ENOMEM;
        policy_path_clear(path);
        path->path = copy;
        path->at = parser_position(p);
        return 0;
}

void policy_path_clear(struct policy_path *path) {
        free(path->path);
        *path = (struct policy_path){ 0 };
}
