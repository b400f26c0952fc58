#!/usr/bin/env bash
# @ABOUT@
# What it does: @SAID@, in a fixed order, and then it waits for the builds that are left.
@EXITS@
@WHERE@
set -u; cd "$(dirname "${BASH_SOURCE[0]}")" || exit 2
T=$(mktemp -d) DAEMON='' CODE=0
declare -A PID ENDED
say() { printf '%(%T)T  %s\n' -1 "$*"; }
broke() { say "broke: $*"; exit 2; }
clean() { kill -9 -- "${PID[@]/#/-}" 2>/dev/null; leave >/dev/null 2>&1; wait 2>/dev/null; rm -rf "$T"; }
trap clean EXIT; trap 'exit 2' INT TERM
@CLIENT@
build() { client "${@:2}" >"$T/$1.log" 2>&1 & PID[$1]=$!; say "build $1 begins"; } # NAME CONTEXT OPTION...
pause() { [ $SECONDS -lt "${GIVE_UP_SECONDS:-300}" ] || broke "it takes too long"; sleep 0.1; }
runs() { kill -0 "${PID[$1]}" 2>/dev/null; }
await_step() { # NAME STEP [STATE]
  until grep -A9 -e "$2" "$T/$1.log" | grep -qe "${3:-$2}"; do
    runs "$1" || { cat "$T/$1.log"; broke "build $1 ended before: $2"; }; pause
  done
}
await_exit() { while runs "$1" && ! hangs "$1"; do pause; done; }
end() { # NAME SIGNAL
  { runs "$1" && kill -"$2" -- "-${PID[$1]}"; } || broke "build $1 ended before it could be killed"
  ENDED[$1]=yes; say "build $1 is killed (SIG$2)"; wait "${PID[$1]}" 2>/dev/null
}
hangs() { # NAME: whether it still runs so long after its export was done
  grep -q "^$(grep -om1 '^#[0-9]* exporting to' "$T/$1.log" | cut -d' ' -f1) DONE" "$T/$1.log" || return 1
  : "${ENDED[$1]:=$SECONDS}"; [ $((SECONDS - ENDED[$1])) -ge "${HANG_SECONDS:-10}" ]
}
@DAEMON@
@ACTS@
for name in "${!PID[@]}"; do
  [ "${ENDED[$name]:-}" != yes ] || continue
  await_exit "$name"
@ENDS@
exit $CODE
