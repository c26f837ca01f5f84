#!/bin/sh
# Creates the cron jobs of Akamai Functions that run Watchbell there: one for each check, and
# one for the sweep of its alerts. Written by `watchbell schedule --target akamai`.
#
# Run it again after a change: each replaces the job of its name. A check that is gone leaves
# its job behind: spin aka cron delete watchbell-<check>
#
#   WATCHBELL_SCHEDULE_KEY=… sh akamai.sh [--app-name NAME]
#
# Arguments are handed to `spin aka cron`; without any, the application is the one that the
# working directory is linked to. These jobs call by GET, five fields, UTC, and send no
# header (spin aka 0.7.6), so each bears the application's schedule_key in its query: it opens
# nothing but a run that is due. Whoever may list the jobs of the account may read it, and while
# this runs, whoever may list this machine's processes.
set -eu

key=${WATCHBELL_SCHEDULE_KEY:?got nothing, want the schedule_key of the application}
case $key in
*[!A-Za-z0-9_-]*)
    echo 'reading WATCHBELL_SCHEDULE_KEY: want letters, digits, - and _ alone, for it stands in a URL' >&2
    exit 1
    ;;
esac

# $1: a name, $2: a path; then the arguments of this script.
create() {
    name=$1 path=$2
    shift 2
    # One that is not there yet cannot be deleted.
    spin aka cron delete "$@" "$name" >/dev/null 2>&1 || :
    spin aka cron create "$@" --name "$name" --schedule '* * * * *' --path-and-query "$path?key=$key"
}

create 'watchbell-health' '/run/health' "$@"
create 'watchbell-port-two' '/run/port-two' "$@"
create 'watchbell-alert' '/alert' "$@"
