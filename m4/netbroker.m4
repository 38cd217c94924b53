# SPDX-License-Identifier: Apache-2.0

# NB_TRY_FLAG(VARIABLE, FLAG, [LINK])
# -----------------------------------
# Appends FLAG to VARIABLE if the compiler takes it without a word. A flag that it does not take is said aloud, and is an
# error with --enable-werror: a misspelt flag must not vanish in a probe.
AC_DEFUN([NB_TRY_FLAG], [
        AS_VAR_PUSHDEF([cache], [nb_cv_flag_$2])
        AC_CACHE_CHECK([whether $CC takes $2], [cache], [
                nb_saved_CFLAGS=$CFLAGS
                CFLAGS="$CFLAGS $NB_SANITIZER_FLAGS -Werror $2"
                m4_ifval([$3], [AC_LINK_IFELSE], [AC_COMPILE_IFELSE])(
                        [AC_LANG_PROGRAM([[#include <string.h>]], [[]])],
                        [AS_VAR_SET([cache], [yes])], [AS_VAR_SET([cache], [no])])
                CFLAGS=$nb_saved_CFLAGS
        ])
        AS_VAR_IF([cache], [yes], [$1="$$1 $2"], [
                AS_IF([test "x$enable_werror" = xyes],
                        [AC_MSG_ERROR([the compiler does not take $2 (CFLAGS: $CFLAGS)])],
                        [AC_MSG_WARN([building without $2])])
        ])
        AS_VAR_POPDEF([cache])
])

# NB_COMPILER_FLAGS
# -----------------
# Sets NB_WARN_CFLAGS, for our own code; NB_HARDEN_CFLAGS and NB_HARDEN_LDFLAGS, for all; NB_PIE_LDFLAGS, for programs.
AC_DEFUN([NB_COMPILER_FLAGS], [
        NB_SANITIZER_FLAGS=
        # Recovery is off: a test that trips a sanitizer must fail.
        AS_CASE([$enable_sanitizers],
                [no], [],
                [yes], [NB_SANITIZER_FLAGS="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"],
                [thread], [NB_SANITIZER_FLAGS="-fsanitize=thread -fno-omit-frame-pointer"],
                [AC_MSG_ERROR([--enable-sanitizers is yes or thread])])
        AM_CONDITIONAL([SANITIZERS], [test "x$enable_sanitizers" != xno])
        FUZZ_LDFLAGS=
        AS_IF([test "x$enable_fuzzing" = xyes], [
                NB_SANITIZER_FLAGS="$NB_SANITIZER_FLAGS -fsanitize=fuzzer-no-link"
                NB_TRY_FLAG([FUZZ_LDFLAGS], [-fsanitize=fuzzer])
                AS_IF([test -z "$FUZZ_LDFLAGS"], [AC_MSG_ERROR([--enable-fuzzing needs clang with libFuzzer: CC=clang])])
        ])
        AM_CONDITIONAL([FUZZING], [test "x$enable_fuzzing" = xyes])
        AC_SUBST([FUZZ_LDFLAGS])

        NB_WARN_CFLAGS=
        m4_foreach_w([flag], [-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wundef
                              -Wcast-align -Wwrite-strings -Wvla],
                [NB_TRY_FLAG([NB_WARN_CFLAGS], flag)])
        AS_IF([test "x$enable_werror" = xyes], [NB_WARN_CFLAGS="$NB_WARN_CFLAGS -Werror"])

        # Not -fPIE: libtool compiles every object once, position-independent.
        NB_HARDEN_CFLAGS="$NB_SANITIZER_FLAGS"
        NB_TRY_FLAG([NB_HARDEN_CFLAGS], [-fvisibility=hidden])
        NB_TRY_FLAG([NB_HARDEN_CFLAGS], [-fstack-protector-strong])
        AS_IF([test "x$enable_sanitizers" = xno], [
                # Compilers that predefine another level would warn of the redefinition.
                NB_TRY_FLAG([NB_HARDEN_CFLAGS], [-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2])
        ])

        NB_HARDEN_LDFLAGS="$NB_SANITIZER_FLAGS"
        NB_TRY_FLAG([NB_HARDEN_LDFLAGS], [-Wl,-z,relro], [link])
        NB_TRY_FLAG([NB_HARDEN_LDFLAGS], [-Wl,-z,now], [link])
        NB_PIE_CFLAGS=
        NB_TRY_FLAG([NB_PIE_CFLAGS], [-fPIE])
        NB_PIE_LDFLAGS=
        NB_TRY_FLAG([NB_PIE_LDFLAGS], [-fPIE -pie], [link])

        AC_SUBST([NB_SANITIZER_FLAGS])
        AC_SUBST([NB_WARN_CFLAGS])
        AC_SUBST([NB_HARDEN_CFLAGS])
        AC_SUBST([NB_HARDEN_LDFLAGS])
        AC_SUBST([NB_PIE_CFLAGS])
        AC_SUBST([NB_PIE_LDFLAGS])
])

# NB_WASMTIME
# -----------
# Takes the layout of Wasmtime's C API releases. Sets WASMTIME_CPPFLAGS, WASMTIME_LIBS and the conditional HAVE_WASMTIME.
AC_DEFUN([NB_WASMTIME], [
        wasmtime_summary=no
        AS_IF([test "x$with_wasmtime" != xno], [
                AS_CASE([$with_wasmtime],
                        [yes], [AC_MSG_ERROR([--with-wasmtime needs a folder: tools/get-wasmtime DIR makes one])],
                        [/*], [],
                        [with_wasmtime=$(cd "$with_wasmtime" 2>/dev/null && pwd)])
                AC_MSG_CHECKING([for Wasmtime's C API])
                AS_IF([test ! -r "$with_wasmtime/include/wasmtime/conf.h" || test ! -r "$with_wasmtime/lib/libwasmtime.so"],
                        [AC_MSG_ERROR([no include/wasmtime/conf.h or no lib/libwasmtime.so in "$with_wasmtime"])])
                # System headers: our warnings are not for them.
                WASMTIME_CPPFLAGS="-isystem $with_wasmtime/include"
                WASMTIME_LIBS="-L$with_wasmtime/lib -lwasmtime -R$with_wasmtime/lib"
                nb_saved_CPPFLAGS=$CPPFLAGS
                nb_saved_LIBS=$LIBS
                CPPFLAGS="$CPPFLAGS $WASMTIME_CPPFLAGS"
                LIBS="-L$with_wasmtime/lib -lwasmtime -Wl,-rpath-link,$with_wasmtime/lib $LIBS"
                AC_LINK_IFELSE([AC_LANG_PROGRAM([[
                        #include <wasmtime.h>
                        #if WASMTIME_VERSION_MAJOR < 48
                        #error "too old"
                        #endif
                        #if !defined(WASMTIME_FEATURE_WASI) || !defined(WASMTIME_FEATURE_CRANELIFT) || !defined(WASMTIME_FEATURE_THREADS)
                        #error "built without what netbroker-run needs"
                        #endif
                ]], [[
                        wasi_config_t *config = wasi_config_new();
                        wasi_config_delete(config);
                ]])], [], [AC_MSG_ERROR([Wasmtime 48 or newer with wasi, cranelift and threads is needed (see config.log)])])
                CPPFLAGS=$nb_saved_CPPFLAGS
                LIBS=$nb_saved_LIBS
                wasmtime_summary=$with_wasmtime
                AC_MSG_RESULT([$with_wasmtime])
        ])
        AM_CONDITIONAL([HAVE_WASMTIME], [test "x$with_wasmtime" != xno])
        AC_SUBST([WASMTIME_CPPFLAGS])
        AC_SUBST([WASMTIME_LIBS])
])

# NB_GUEST_COMPILER
# -----------------
# Finds a clang that links guests for wasm32-wasi, and the llvm-ar that belongs to it. Sets GUEST_CC, GUEST_AR and the conditional
# HAVE_GUESTS.
AC_DEFUN([NB_GUEST_COMPILER], [
        AC_ARG_VAR([GUEST_CFLAGS], [flags for guests compiled to Wasm])
        : ${GUEST_CFLAGS=-O2}
        GUEST_CC=
        guest_summary=no
        AS_CASE([$with_clang],
                [no], [],
                [yes | check], [AC_PATH_PROGS([GUEST_CC], [clang])],
                [GUEST_CC=$with_clang])
        AS_IF([test -n "$GUEST_CC"], [
                AC_MSG_CHECKING([whether $GUEST_CC links guests for wasm32-wasi])
                cat >conftest.c <<'_GUEST'
#include <poll.h>
#include <stdio.h>
int main(void) { return puts("") < 0; }
_GUEST
                AS_IF([AC_TRY_COMMAND([$GUEST_CC --target=wasm32-wasi $GUEST_CFLAGS conftest.c -o conftest.wasm >&AS_MESSAGE_LOG_FD 2>&1])],
                        [guest_summary=$GUEST_CC], [GUEST_CC=])
                rm -f conftest.c conftest.wasm
                AC_MSG_RESULT([$guest_summary])
        ])
        GUEST_AR=
        AS_IF([test -n "$GUEST_CC"], [
                AC_MSG_CHECKING([for the llvm-ar of $GUEST_CC])
                GUEST_AR=`$GUEST_CC -print-prog-name=llvm-ar`
                AS_IF([AC_TRY_COMMAND([$GUEST_AR --version >&AS_MESSAGE_LOG_FD 2>&1])],
                        [ar_summary=$GUEST_AR], [GUEST_CC= guest_summary=no ar_summary=no])
                AC_MSG_RESULT([$ar_summary])
        ])
        AS_IF([test -z "$GUEST_CC" && test "x$with_clang" != xno && test "x$with_clang" != xcheck],
                [AC_MSG_ERROR([no guests without clang, wasi-libc, lld, llvm-ar and libclang-rt-14-dev-wasm32 (see config.log)])])
        AM_CONDITIONAL([HAVE_GUESTS], [test -n "$GUEST_CC"])
        AC_SUBST([GUEST_CC])
        AC_SUBST([GUEST_AR])
        GUEST_WERROR=
        AS_IF([test "x$enable_werror" = xyes], [GUEST_WERROR=-Werror])
        AC_SUBST([GUEST_WERROR])
])

# NB_SEAL
# -------
# What compiles the seal's BPF programs: a clang that knows the target, bpftool, which may be where only root's PATH looks, and libbpf. Sets BPF_CLANG,
# BPF_CPPFLAGS, BPFTOOL and the conditional HAVE_SEAL.
AC_DEFUN([NB_SEAL], [
        seal_summary=no
        seal_lacks=
        AS_IF([test "x$with_seal" != xno], [
                PKG_CHECK_MODULES([LIBBPF], [libbpf >= 1.1], [], [seal_lacks="$seal_lacks libbpf-dev"])
                AC_PATH_PROG([BPFTOOL], [bpftool], [], [$PATH:/usr/sbin:/sbin])
                AS_IF([test -z "$BPFTOOL"], [seal_lacks="$seal_lacks bpftool"])
                AC_PATH_PROGS([BPF_CLANG], [clang clang-19 clang-16 clang-15 clang-14])
                # The kernel's headers have a part that is the machine's, in a folder that clang finds for its own target only.
                BPF_CPPFLAGS="-I`echo '#include <asm/types.h>' | $CC -E -x c - | sed -n 's|^# 1 "\(.*\)/asm/types.h".*|\1|p' | head -n 1`"
                AS_IF([test -n "$BPF_CLANG" && echo 'int x;' | "$BPF_CLANG" -target bpf -x c -c -o conftest.bpf.o - >&AS_MESSAGE_LOG_FD 2>&1],
                        [], [seal_lacks="$seal_lacks clang"])
                rm -f conftest.bpf.o
                AS_IF([test -z "$seal_lacks"], [seal_summary=yes],
                        [test "x$with_seal" = xyes],
                        [AC_MSG_ERROR([the seal cannot be built: missing are (Debian packages)$seal_lacks])],
                        [seal_summary="no, missing are$seal_lacks"])
        ])
        AC_SUBST([BPF_CPPFLAGS])
        AM_CONDITIONAL([HAVE_SEAL], [test "x$seal_summary" = xyes])
])
