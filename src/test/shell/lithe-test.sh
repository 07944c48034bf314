#!/bin/sh
#
# Tests the launcher: sh src/test/shell/lithe-test.sh [shell...]
#
# Runs it under each shell named (of dash and bash, those installed, when none is) from a temporary
# folder, with made-up JDKs, and the built target/lithe where there is one. Prints a line a test and
# a closing count; ends with 1 when a test fails.

set -u
unset CDPATH JAVA_HOME LITHE_JAVA_OPTS
root=$(cd "$(dirname "$0")/../../.." && pwd -P)
work=$(cd "$(mktemp -d)" && pwd -P)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
passed=0
failed=0
skipped=0

if [ $# -eq 0 ]; then
    for shell in dash bash; do
        command -v "$shell" >/dev/null && set -- "$@" "$shell"
    done
    [ $# -gt 0 ] || set -- sh
fi

# jdk FOLDER: a JDK whose java tells how it was called.
jdk() {
    mkdir -p "$1/bin"
    cat >"$1/bin/java" <<EOF
#!/bin/sh
echo "java $1"
for argument in "\$@"; do printf 'argument <%s>\n' "\$argument"; done
exit \${JAVA_STATUS:-0}
EOF
    chmod +x "$1/bin/java"
}

# Starts every test: a launcher in a folder with a space, written as the build does.
begin() {
    rm -rf "$work/t"
    t=$work/t
    mkdir -p "$t/a build/quarkus-app" "$t/elsewhere"
    jdk "$t/built"
    sed "s|@java.home@|$t/built|" "$root/src/main/launcher/lithe" >"$t/a build/lithe"
    chmod +x "$t/a build/lithe"
}

# lithe PATH ARGUMENT...: runs it and keeps its output, errors and status.
lithe() {
    "$under" "$@" >"$t/out" 2>"$t/err" </dev/null
    status=$?
}

problem() { problems="$problems
#   $1"; }

status_is() { [ "$status" -eq "$1" ] || problem "status is $status, not $1"; }

# A whole line of the output.
out_has() { grep -Fqx -- "$1" "$t/out" || problem "output lacks: $1"; }

ran() { # ran JDK
    status_is 0
    out_has "java $1"
    out_has "argument <$t/a build/quarkus-app/quarkus-run.jar>"
}

# check NAME FUNCTION: runs a test.
check() {
    problems=''
    reason=''
    begin
    "$2"
    if [ -n "$reason" ]; then
        skipped=$((skipped + 1))
        echo "ok - $1 ($under) # SKIP $reason"
    elif [ -z "$problems" ]; then
        passed=$((passed + 1))
        echo "ok - $1 ($under)"
    else
        failed=$((failed + 1))
        echo "not ok - $1 ($under)$problems"
        sed 's/^/#   out: /' "$t/out"
        sed 's/^/#   err: /' "$t/err"
    fi
}

called_by_its_path() {
    lithe "$t/a build/lithe"
    ran "$t/built"
}

called_from_its_folder() {
    cd "$t/a build" || exit 1
    lithe ./lithe
    cd "$work" || exit 1
    ran "$t/built"
}

absolute_link() {
    ln -s "$t/a build/lithe" "$t/elsewhere/lithe"
    lithe "$t/elsewhere/lithe"
    ran "$t/built"
}

relative_link() {
    ln -s "../a build/lithe" "$t/elsewhere/lithe"
    cd / || exit 1
    lithe "$t/elsewhere/lithe"
    cd "$work" || exit 1
    ran "$t/built"
}

link_to_a_link() {
    ln -s "a build/lithe" "$t/first"
    ln -s ../first "$t/elsewhere/second"
    ln -s elsewhere/second "$t/third"
    lithe "$t/third"
    ran "$t/built"
}

linked_folder() {
    ln -s "../a build" "$t/elsewhere/folder"
    lithe "$t/elsewhere/folder/lithe"
    status_is 0
    out_has "java $t/built"
    out_has "argument <$t/elsewhere/folder/quarkus-app/quarkus-run.jar>"
}

arguments() {
    # shellcheck disable=SC2016 # a dollar sign that stays one
    lithe "$t/a build/lithe" 'two words' '' '*' '$HOME' --stage 'rtn:ignore=[a;b]'
    ran "$t/built"
    for argument in 'two words' '' '*' "\$HOME" --stage 'rtn:ignore=[a;b]'; do
        out_has "argument <$argument>"
    done
}

exit_status() {
    JAVA_STATUS=3 lithe "$t/a build/lithe"
    status_is 3
}

flags_of_the_user() {
    LITHE_JAVA_OPTS='-Xmx1g -ea' lithe "$t/a build/lithe"
    ran "$t/built"
    out_has 'argument <-Xmx1g>'
    out_has 'argument <-ea>'
}

java_home_where_the_builder_is_gone() {
    jdk "$t/home"
    rm -r "$t/built"
    JAVA_HOME=$t/home lithe "$t/a build/lithe"
    ran "$t/home"
}

path_where_nothing_else_is() {
    jdk "$t/path"
    rm -r "$t/built"
    PATH=$t/path/bin:$PATH lithe "$t/a build/lithe"
    ran "$t/path"
}

cache_of_the_build() {
    lithe "$t/a build/lithe" inspect demo
    ran "$t/built"
    ! grep -q AOTCache "$t/out" || problem 'a cache is named where there is none'
    : >"$t/a build/quarkus-app/lithe.aot"
    lithe "$t/a build/lithe" inspect demo
    ran "$t/built"
    out_has "argument <-XX:AOTCache=$t/a build/quarkus-app/lithe.aot>"
}

second_compiler() {
    LITHE_JAVA_OPTS=-XX:TieredStopAtLevel=4 lithe "$t/a build/lithe" techniques
    out_has 'argument <-XX:TieredStopAtLevel=1>'
    [ "$(grep TieredStop "$t/out" | tail -n 1)" = 'argument <-XX:TieredStopAtLevel=4>' ] || problem 'the user cannot overrule'
    lithe "$t/a build/lithe" serve demo
    ! grep -q TieredStopAtLevel "$t/out" || problem 'serve goes without the second compiler'
}

training() {
    cat >"$t/built/bin/java" <<'EOF'
#!/bin/sh
for argument in "$@"; do case $argument in -XX:AOTCacheOutput=*) cache=${argument#*=} ;; esac; done
trap 'echo trained >"$cache"; exit 143' TERM
echo serving
while :; do sleep 0.1; done
EOF
    "$under" "$root/src/main/launcher/train" "$t/a build" >"$t/out" 2>"$t/err"
    status=$?
    status_is 0
    [ "$(cat "$t/a build/quarkus-app/lithe.aot")" = trained ] || problem 'no cache where the program is'
    [ ! -e "$t/a" ] || problem 'something is written elsewhere'
    printf '#!/bin/sh\necho no libtorch >&2; exit 1\n' >"$t/built/bin/java"
    "$under" "$root/src/main/launcher/train" "$t/a build" >"$t/out" 2>"$t/err"
    status=$?
    status_is 0
    grep -q '^notice: no ahead-of-time cache' "$t/err" && grep -q 'no libtorch' "$t/err" || problem 'a failure is not told'
}

a_cache_that_is_none() {
    if [ ! -d "$root/target/quarkus-app" ] || [ ! -f "$root/target/lithe" ]; then
        reason='needs target/lithe; run mvnw package'
        return
    fi
    cp "$root/target/lithe" "$t/a build/lithe"
    cp -r "$root/target/quarkus-app/." "$t/a build/quarkus-app"
    echo nothing >"$t/a build/quarkus-app/lithe.aot"
    lithe "$t/a build/lithe" --version
    status_is 0
    [ "$(wc -l <"$t/out")" -eq 1 ] || problem "the version is not one line"
    [ ! -s "$t/err" ] || problem "something is complained of"
}

the_built_one() {
    if [ ! -d "$root/target/quarkus-app" ] || [ ! -f "$root/target/lithe" ]; then
        reason='needs target/lithe; run mvnw package'
        return
    fi
    ln -s "$root/target/lithe" "$t/elsewhere/lithe"
    lithe "$t/elsewhere/lithe" techniques
    status_is 0
    grep -q '^rtn ' "$t/out" || problem "techniques lack rtn"
}

for under in "$@"; do
    check "called by its path" called_by_its_path
    check "called from its folder" called_from_its_folder
    check "called through an absolute link" absolute_link
    check "called through a relative link" relative_link
    check "called through a link to a link" link_to_a_link
    check "called in a linked folder" linked_folder
    check "arguments pass unchanged" arguments
    check "the program's status is passed on" exit_status
    check "LITHE_JAVA_OPTS adds flags" flags_of_the_user
    check "JAVA_HOME where the builder's JDK is gone" java_home_where_the_builder_is_gone
    check "java of the PATH where there is no other" path_where_nothing_else_is
    check "the cache of the build, where there is one" cache_of_the_build
    check "the second compiler for long commands only" second_compiler
    check "training, in a folder with a space" training
    check "a cache that is none" a_cache_that_is_none
    check "the built launcher through a link" the_built_one
done

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
