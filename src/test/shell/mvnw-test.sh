#!/bin/sh
#
# Tests mvnw: sh src/test/shell/mvnw-test.sh [shell...]
#
# Runs mvnw under each shell named (of dash and bash, those installed, when none is) in a temporary
# folder, with made-up JDKs and Mavens, a PATH of only the tools mvnw needs, and no network. Prints
# a line a test and a closing count; ends with 1 when a test fails.

set -u
unset CDPATH JAVA_HOME MAVEN_ARGS MAVEN_USER_HOME MVNW_OFFLINE MVNW_JDK_ROOTS SDKMAN_DIR
root=$(cd "$(dirname "$0")/../../.." && pwd -P)
work=$(cd "$(mktemp -d)" && pwd -P)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
passed=0
failed=0

if [ $# -eq 0 ]; then
    for shell in dash bash; do
        command -v "$shell" >/dev/null && set -- "$@" "$shell"
    done
    [ $# -gt 0 ] || set -- sh
fi

# ---- Made-up JDKs and Mavens ----

# jdk FOLDER VERSION: a JDK with a release file, which alone tells its version: its java is silent.
jdk() {
    jre "$1" "$2"
    printf '#!/bin/sh\n' >"$1/bin/javac"
    chmod +x "$1/bin/javac"
}

# jre FOLDER VERSION: the same without a compiler.
jre() {
    mkdir -p "$1/bin"
    printf 'IMPLEMENTOR="Nobody"\nJAVA_VERSION="%s"\nJAVA_VERSION_DATE="2025-09-16"\n' "$2" \
        >"$1/release"
    printf '#!/bin/sh\n' >"$1/bin/java"
    chmod +x "$1/bin/java"
}

# bare_jdk FOLDER VERSION: a JDK without a release file, which tells its version when started.
bare_jdk() {
    jdk "$1" "$2"
    rm "$1/release"
    printf '#!/bin/sh\necho '\''openjdk version "%s" 2025-09-16'\'' >&2\n' "$2" >"$1/bin/java"
}

# maven FILE VERSION: an mvn that tells its version, or else what it was run with.
maven() {
    mkdir -p "$(dirname "$1")"
    cat >"$1" <<EOF
#!/bin/sh
if [ "\${1:-}" = --version ]; then
    echo "Apache Maven $2 (0123456789abcdef)"
    exit
fi
echo "Maven $2"
echo "JAVA_HOME \$JAVA_HOME"
echo "folder \$(pwd -P)"
for argument in "\$@"; do printf 'argument <%s>\n' "\$argument"; done
exit \${MAVEN_STATUS:-0}
EOF
    chmod +x "$1"
}

# ---- One test ----

# Starts every test: an empty home, a project with mvnw, and a server (a folder) with Maven 3.9.11.
begin() {
    rm -rf "$work/t"
    t=$work/t
    home=$t/home
    dists=$home/.m2/wrapper/dists
    mkdir -p "$home" "$t/bin" "$t/jvm" "$t/server" "$t/project/.mvn/wrapper"
    for tool in sh bash cat chmod cp curl cut dirname gzip mkdir mktemp mv pwd readlink rm sed \
        sha512sum shasum tar tr; do
        path=$(PATH=/usr/bin:/bin:$PATH command -v "$tool") || continue
        case $path in /*) ln -s "$path" "$t/bin/$tool" ;; esac
    done
    cp "$root/mvnw" "$t/project/mvnw"
    maven "$t/server/apache-maven-3.9.11/bin/mvn" 3.9.11
    archive=$t/server/apache-maven-3.9.11-bin.tar.gz
    (cd "$t/server" && tar -czf "$archive" apache-maven-3.9.11)
    sum=$({ sha512sum || shasum -a 512; } <"$archive" 2>/dev/null)
    sum=${sum%% *}
    names "file://$archive" "$sum"
}

# names URL CHECKSUM: what the project's properties name.
names() {
    printf '# a comment\ndistributionUrl=%s\ndistributionSha512Sum=%s\n' "$1" "$2" \
        >"$t/project/.mvn/wrapper/maven-wrapper.properties"
}

# mvnw_as NAME=VALUE... COMMAND...: runs mvnw and keeps its output, errors and status.
mvnw_as() {
    env -i PATH="$t/bin" HOME="$home" MVNW_JDK_ROOTS="$t/jvm" "$@" \
        >"$t/out" 2>"$t/err" </dev/null
    status=$?
}

mvnw() {
    mvnw_as "$under" "$t/project/mvnw" "$@"
}

problem() { problems="$problems
#   $1"; }

status_is() { [ "$status" -eq "$1" ] || problem "status is $status, not $1"; }

# A whole line of the output.
out_has() { grep -Fqx -- "$1" "$t/out" || problem "output lacks: $1"; }

err_has() { grep -Fq -- "$1" "$t/err" || problem "errors lack: $1"; }

err_lines() {
    count=$(wc -l <"$t/err")
    [ "$count" -eq "$1" ] || problem "errors have $count lines, not $1"
}

ran() { # ran MAVEN JDK
    status_is 0
    out_has "Maven $1"
    out_has "JAVA_HOME $2"
}

nothing_cached() {
    [ -z "$(find "$home" -type f)" ] || problem "files were kept: $(find "$home" -type f)"
}

# check NAME FUNCTION: runs a test.
check() {
    problems=''
    begin
    "$2"
    if [ -z "$problems" ]; then
        passed=$((passed + 1))
        echo "ok - $1 ($under)"
    else
        failed=$((failed + 1))
        echo "not ok - $1 ($under)$problems"
        sed 's/^/#   out: /' "$t/out"
        sed 's/^/#   err: /' "$t/err"
    fi
}

# ---- Which JDK ----

java_home_good() {
    jdk "$t/my jdk" 25.0.1
    jdk "$t/jvm/jdk-25" 25
    mvnw_as JAVA_HOME="$t/my jdk" "$under" "$t/project/mvnw"
    ran 3.9.11 "$t/my jdk"
}

java_home_newer() {
    jdk "$t/mine" 26
    jdk "$t/jvm/jdk-25" 25
    mvnw_as JAVA_HOME="$t/mine" "$under" "$t/project/mvnw"
    ran 3.9.11 "$t/mine"
}

java_home_old() {
    jdk "$t/old" 17.0.15
    jdk "$t/jvm/jdk-25" 25.0.3
    mvnw_as JAVA_HOME="$t/old" "$under" "$t/project/mvnw"
    ran 3.9.11 "$t/jvm/jdk-25"
}

java_home_gone() {
    jdk "$t/jvm/jdk-25" 25.0.3
    mvnw_as JAVA_HOME="$t/nowhere" "$under" "$t/project/mvnw"
    ran 3.9.11 "$t/jvm/jdk-25"
}

path_java_good() {
    jdk "$t/on path" 25
    ln -s "on path/bin" "$t/link"
    ln -s "../link/java" "$t/bin/java"
    mvnw
    ran 3.9.11 "$t/on path"
}

path_java_old() {
    jdk "$t/jvm/jdk-17" 17.0.15
    jdk "$t/jvm/jdk-25" 25.0.3
    ln -s "$t/jvm/jdk-17/bin/java" "$t/bin/java"
    mvnw
    ran 3.9.11 "$t/jvm/jdk-25"
}

sdkman_only() {
    jdk "$home/.sdkman/candidates/java/25-tem" 25
    mvnw
    ran 3.9.11 "$home/.sdkman/candidates/java/25-tem"
}

sdkman_elsewhere() {
    jdk "$t/sdk man/candidates/java/25-tem" 25
    mvnw_as SDKMAN_DIR="$t/sdk man" "$under" "$t/project/mvnw"
    ran 3.9.11 "$t/sdk man/candidates/java/25-tem"
}

other_tools() {
    for place in .jdks .asdf/installs/java .local/share/mise/installs/java; do
        jdk "$home/$place/a jdk" 25
        mvnw
        ran 3.9.11 "$home/$place/a jdk"
        rm -rf "${home:?}/$place"
    done
}

mac_layout() {
    jdk "$t/jvm/temurin-25.jdk/Contents/Home" 25
    mvnw
    ran 3.9.11 "$t/jvm/temurin-25.jdk/Contents/Home"
}

second_root() {
    jdk "$t/jvm2/jdk" 25
    mvnw_as MVNW_JDK_ROOTS="$t/jvm:$t/jvm2" "$under" "$t/project/mvnw"
    ran 3.9.11 "$t/jvm2/jdk"
}

exact_before_newer() {
    jdk "$t/jvm/a-27" 27
    jdk "$t/jvm/b-26" 26.0.1
    ln -s "$t/jvm/a-27/bin/java" "$t/bin/java"
    mvnw
    ran 3.9.11 "$t/jvm/b-26"
    jdk "$t/jvm/c-25" 25.0.3
    mvnw
    ran 3.9.11 "$t/jvm/c-25"
}

no_release_file() {
    bare_jdk "$t/jvm/a" 1.8.0_292
    bare_jdk "$t/jvm/b" 25-ea
    mvnw
    ran 3.9.11 "$t/jvm/b"
}

no_jdk() {
    jdk "$t/jvm/jdk-8" 1.8.0_292
    jdk "$t/jvm/jdk-24" 24.0.2
    jre "$t/jvm/jre-25" 25
    maven "$t/bin/mvn" 3.9.11
    mvnw
    status_is 2
    err_lines 1
    err_has "mvnw: no JDK 25 or newer found (JAVA_HOME, PATH,"
    err_has "sdk install java 25-tem"
    err_has "set JAVA_HOME"
}

# ---- Which Maven ----

download_once() {
    jdk "$t/jvm/jdk-25" 25
    mvnw
    ran 3.9.11 "$t/jvm/jdk-25"
    err_lines 1
    err_has "Maven 3.9.11"
    rm -r "$t/server"
    maven "$t/bin/mvn" 3.8.7
    mvnw
    ran 3.9.11 "$t/jvm/jdk-25"
    err_lines 0
    [ "$(ls -A "$dists")" = apache-maven-3.9.11 ] || problem "left over: $(ls -A "$dists")"
}

maven_user_home() {
    jdk "$t/jvm/jdk-25" 25
    mvnw_as MAVEN_USER_HOME="$t/user home" "$under" "$t/project/mvnw"
    ran 3.9.11 "$t/jvm/jdk-25"
    [ -d "$t/user home/wrapper/dists/apache-maven-3.9.11" ] || problem "not in MAVEN_USER_HOME"
    nothing_cached
}

with_wget() {
    jdk "$t/jvm/jdk-25" 25
    rm "$t/bin/curl"
    cat >"$t/bin/wget" <<'EOF'
#!/bin/sh
while [ $# -gt 1 ]; do
    [ "$1" = -O ] && file=$2
    shift
done
cp "${1#file://}" "$file"
EOF
    chmod +x "$t/bin/wget"
    mvnw
    ran 3.9.11 "$t/jvm/jdk-25"
}

many_at_once() {
    jdk "$t/jvm/jdk-25" 25
    for i in 1 2 3 4 5 6 7 8; do
        env -i PATH="$t/bin" HOME="$home" MVNW_JDK_ROOTS="$t/jvm" "$under" "$t/project/mvnw" \
            >"$t/out$i" 2>"$t/err$i" &
    done
    wait
    for i in 1 2 3 4 5 6 7 8; do
        grep -Fqx "Maven 3.9.11" "$t/out$i" || problem "number $i failed: $(cat "$t/err$i")"
    done
    mvnw
    ran 3.9.11 "$t/jvm/jdk-25"
    [ "$(find "$home" -name mvn | wc -l)" -eq 1 ] || problem "kept: $(find "$home" -name mvn)"
    [ "$(ls -A "$dists")" = apache-maven-3.9.11 ] || problem "left over: $(ls -A "$dists")"
}

wrong_checksum() {
    jdk "$t/jvm/jdk-25" 25
    maven "$t/bin/mvn" 3.8.7
    names "file://$archive" "0000$sum"
    mvnw
    status_is 1
    err_lines 1
    err_has "wrong checksum"
    nothing_cached
}

no_checksum() {
    jdk "$t/jvm/jdk-25" 25
    maven "$t/bin/mvn" 3.8.7
    names "file://$archive" ""
    mvnw
    status_is 1
    err_lines 1
    nothing_cached
}

not_an_archive() {
    jdk "$t/jvm/jdk-25" 25
    echo "Service unavailable" >"$archive"
    sum=$({ sha512sum || shasum -a 512; } <"$archive" 2>/dev/null)
    names "file://$archive" "${sum%% *}"
    mvnw
    status_is 2
    err_lines 1
    nothing_cached
}

unreachable() {
    jdk "$t/jvm/jdk-25" 25
    rm "$archive"
    for version in 3.8.6 3.8.7 3.8.10 3.9.0 3.10.1 4.0.0-rc-4; do
        maven "$t/bin/mvn" "$version"
        mvnw
        ran "$version" "$t/jvm/jdk-25"
        err_lines 1
        err_has "using Maven $version, $t/bin/mvn"
    done
    nothing_cached
}

cache_not_writable() {
    jdk "$t/jvm/jdk-25" 25
    maven "$t/bin/mvn" 3.8.7
    mvnw_as MAVEN_USER_HOME=/dev/null "$under" "$t/project/mvnw"
    ran 3.8.7 "$t/jvm/jdk-25"
    err_lines 1
}

too_old() {
    jdk "$t/jvm/jdk-25" 25
    rm "$archive"
    for version in 2.2.1 3.0.5 3.6.3 3.8.5; do
        maven "$t/bin/mvn" "$version"
        mvnw
        status_is 2
        err_lines 1
        err_has "no Maven 3.8.6 or newer on the PATH (only $version)"
    done
}

no_maven() {
    jdk "$t/jvm/jdk-25" 25
    rm "$archive"
    mvnw
    status_is 2
    err_lines 1
    err_has "no Maven 3.8.6 or newer on the PATH"
}

mvn_is_mvnw() {
    jdk "$t/jvm/jdk-25" 25
    rm "$archive"
    chmod +x "$t/project/mvnw"
    ln -s "$t/project/mvnw" "$t/bin/mvn"
    mvnw
    status_is 2
    err_lines 1
}

named_version_on_path() {
    jdk "$t/jvm/jdk-25" 25
    maven "$t/bin/mvn" 3.9.11
    mvnw
    ran 3.9.11 "$t/jvm/jdk-25"
    err_lines 0
    nothing_cached
}

offline() {
    jdk "$t/jvm/jdk-25" 25
    maven "$t/bin/mvn" 3.8.7
    mvnw_as MVNW_OFFLINE=1 "$under" "$t/project/mvnw"
    ran 3.8.7 "$t/jvm/jdk-25"
    err_lines 1
    nothing_cached
}

# ---- How Maven is run ----

arguments() {
    jdk "$t/jvm/jdk-25" 25
    # shellcheck disable=SC2016 # the dollar sign is meant as it stands
    mvnw -Dtwo="a  b" "" '*' '$HOME "q" \n' --version
    ran 3.9.11 "$t/jvm/jdk-25"
    out_has "argument <-Dtwo=a  b>"
    out_has "argument <>"
    out_has "argument <*>"
    # shellcheck disable=SC2016
    out_has 'argument <$HOME "q" \n>'
    out_has "argument <--version>"
    [ "$(grep -c argument "$t/out")" -eq 5 ] || problem "not five arguments"
}

maven_status() {
    jdk "$t/jvm/jdk-25" 25
    mvnw_as MAVEN_STATUS=7 "$under" "$t/project/mvnw"
    status_is 7
}

through_symlink() {
    jdk "$t/jvm/jdk-25" 25
    mkdir "$t/links"
    ln -s ../project/mvnw "$t/links/one"
    ln -s one "$t/links/two"
    mvnw_as "$under" "$t/links/two"
    ran 3.9.11 "$t/jvm/jdk-25"
}

other_folder() {
    jdk "$t/jvm/jdk-25" 25
    mkdir -p "$t/project/a module"
    cd "$t/project/a module" || return
    mvnw_as CDPATH="$t" "$under" ../mvnw
    cd "$root" || return
    ran 3.9.11 "$t/jvm/jdk-25"
    out_has "folder $t/project/a module"
}

started_itself() {
    jdk "$t/jvm/jdk-25" 25
    chmod +x "$t/project/mvnw"
    mvnw_as "$t/project/mvnw"
    ran 3.9.11 "$t/jvm/jdk-25"
}

# The properties of the project itself, for which there is no network here.
own_properties() {
    : >"$t/out"
    : >"$t/err"
    properties=$root/.mvn/wrapper/maven-wrapper.properties
    grep -Eqx 'distributionUrl=https://.*/apache-maven-[0-9.]+-bin\.tar\.gz' "$properties" ||
        problem "no https address"
    grep -Eqx 'distributionSha512Sum=[0-9a-f]{128}' "$properties" || problem "no SHA-512"
}

for shell in "$@"; do
    under=$(command -v "$shell") || { echo "no such shell: $shell" >&2; exit 1; }
    check "JAVA_HOME that is a JDK 25 is used" java_home_good
    check "JAVA_HOME that is newer is used" java_home_newer
    check "JAVA_HOME too old: a 25 elsewhere is found" java_home_old
    check "JAVA_HOME that is not there: a 25 elsewhere is found" java_home_gone
    check "java on the PATH is followed to its JDK" path_java_good
    check "java on the PATH too old: a 25 elsewhere is found" path_java_old
    check "JDK of SDKMAN only" sdkman_only
    check "SDKMAN_DIR is honoured" sdkman_elsewhere
    check "JDKs of IDEs, asdf and mise" other_tools
    check "JDK laid out as on macOS" mac_layout
    check "JDK in the second of two roots" second_root
    check "a 25 goes before newer ones, then the oldest" exact_before_newer
    check "JDK without a release file is asked" no_release_file
    check "no JDK: status 2 and what to do" no_jdk
    check "Maven is downloaded once" download_once
    check "MAVEN_USER_HOME is honoured" maven_user_home
    check "wget where there is no curl" with_wget
    check "many first runs at once" many_at_once
    check "wrong checksum: status 1 and nothing kept" wrong_checksum
    check "no checksum: status 1" no_checksum
    check "a download that is no archive is not kept" not_an_archive
    check "unreachable: Maven on the PATH, and it is said" unreachable
    check "cache not writable: Maven on the PATH" cache_not_writable
    check "unreachable and Maven on the PATH too old: status 2" too_old
    check "unreachable and no Maven: status 2" no_maven
    check "mvn that is mvnw itself does not call itself" mvn_is_mvnw
    check "the named Maven on the PATH is used, nothing downloaded" named_version_on_path
    check "MVNW_OFFLINE=1 does not download" offline
    check "arguments pass unchanged" arguments
    check "Maven's status is passed on" maven_status
    check "called through symbolic links" through_symlink
    check "called from another folder" other_folder
    check "started by its own first line" started_itself
    check "the project's own properties are whole" own_properties
done

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
