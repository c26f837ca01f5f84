#!/bin/sh
# Stands in for systemctl where no systemd runs: does what an installation guide asks of it, for
# one unit. $LAB is a folder of its own. Of the unit it heeds the user, the state directory, the
# credentials, the environment file and the command; its sandbox is for systemd itself.
set -eu
unit=/etc/systemd/system/watchbell.service

key() { cat "$unit" "$unit".d/*.conf 2>/dev/null | sed -n "s/^$1=\(.\)/\1/p"; }

start() {
    user=$(key User)
    install -d -o "$user" -g "$user" -m "$(key StateDirectoryMode)" "/var/lib/$(key StateDirectory)"
    # Compiled before, as after a first start.
    [ -e /var/lib/watchbell/compiled ] || cp -R "$LAB_COMPILED" /var/lib/watchbell/compiled
    chown -R "$user:$user" /var/lib/watchbell/compiled
    rm -rf "$LAB/credentials"
    install -d -o "$user" -m 0700 "$LAB/credentials"
    key LoadCredential | while IFS=: read -r name file; do
        install -o "$user" -m 0400 "$file" "$LAB/credentials/$name"
    done
    command=$(key ExecStart | tail -n 1 | sed "s#\${CREDENTIALS_DIRECTORY}#$LAB/credentials#g")
    set -a
    . "$(key EnvironmentFile)"
    set +a
    cd "$(key WorkingDirectory)"
    # Its words: the command is split where systemd splits it.
    # shellcheck disable=SC2086
    setsid setpriv --reuid="$user" --regid="$user" --clear-groups --no-new-privs $command \
        >>"$LAB/journal" 2>&1 </dev/null &
    echo $! >"$LAB/pid"
}

stop() {
    [ -e "$LAB/pid" ] || return 0
    kill "$(cat "$LAB/pid")"
    while kill -0 "$(cat "$LAB/pid")" 2>/dev/null; do sleep 0.1; done
    rm "$LAB/pid"
}

case "$*" in
daemon-reload) ;;
"enable --now watchbell" | "start watchbell") start ;;
"stop watchbell" | "disable --now watchbell") stop ;;
"restart watchbell") stop && start ;;
"--no-pager status watchbell") kill -0 "$(cat "$LAB/pid")" ;;
*) echo "systemctl $*: not known here" >&2 && exit 1 ;;
esac
