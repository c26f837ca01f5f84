#!/bin/sh
# Calls every check of Watchbell at once, then the sweep of its alerts. Exit code 0: each was
# answered; 1: one was not, and standard error says which.
#
# Written by `watchbell schedule`: write it anew when a check comes or goes. The calls of one
# run end within 54 s. A run that is not due is answered from the last outcome, so
# calling too often is harmless.
set -u

origin='https://watchbell.example.com'

# The application's check_token, one line.
file=${WATCHBELL_TOKEN_FILE:-/etc/watchbell/check-token}
if ! { IFS= read -r token || [ -n "$token" ]; } <"$file"; then
    echo "reading the token in \"$file\": got nothing, want the application's check_token" >&2
    exit 1
fi

# $1: a path. What a check found is in its answer, which is dropped: a log may be public, and
# it names targets.
call() {
    # The token comes by standard input: everybody on a machine sees arguments. Redirections
    # are not followed, for they would take the token elsewhere.
    got=$(printf 'authorization: Bearer %s\n' "$token" |
        curl --disable --silent --show-error --globoff --proto '=http,https' \
            --connect-timeout 5 --max-time 27 \
            --header @- --data '' --output /dev/null --write-out '%{http_code}' \
            "$origin$1" 2>&1 | tr '\n' ' ')
    # What went wrong, curl says before the status.
    case $got in
    2??) return 0 ;;
    401 | 403) want='200: is the token the check_token of the application?' ;;
    *) want='200' ;;
    esac
    echo "calling \"$1\": got $got, want $want" >&2
    return 1
}

failed=0
calls=''
for path in '/run/health' '/run/port-two'; do
    call "$path" &
    calls="$calls $!"
done
# Unquoted, to be split at the spaces.
for id in $calls; do
    wait "$id" || failed=1
done
# After the checks, so that it finds what they have just written. Where checks ring by
# themselves at a change, it is for rings that were lost, and for reminders.
call '/alert' || failed=1
exit "$failed"
