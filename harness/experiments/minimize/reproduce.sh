#!/usr/bin/env bash
# @ABOUT@
# What it does: @SAID@, in a fixed order, and then it waits for the builds that are left.
# Exits with 1 if one of them has not returned HANG_SECONDS (10) after its export was done, 0 if all have, 2 if it broke.
# It starts a buildkitd of its own (root; runc on PATH), and ends it: its programs come from PATH, or from the folder
# BUILDKIT_BIN. With BUILDKIT_HOST=ADDRESS it takes that daemon instead, PRUNES its cache, and leaves it running.
set -u; cd "$(dirname "${BASH_SOURCE[0]}")" || exit 2
[ -z "${BUILDKIT_BIN:-}" ] || PATH=$BUILDKIT_BIN:$PATH
T=$(mktemp -d) S=$(mktemp -d /tmp/repro-XXXXXX) DAEMON='' CODE=0 # S: a socket's path must be short
declare -A PID ENDED
say() { printf '%(%T)T  %s\n' -1 "$*"; }
broke() { say "broke: $*"; exit 2; }
clean() {
  kill -9 "${PID[@]}" $DAEMON 2>/dev/null; wait 2>/dev/null
  grep -o " $T/[^ ]*" /proc/mounts | sort -ru | xargs -r umount -l; rm -rf "$T" "$S"
}
trap clean EXIT; trap 'exit 2' INT TERM
build() { # NAME CONTEXT OPTION...
  buildctl build --progress=plain --frontend=dockerfile.v0 --local=context="$2" --local=dockerfile="$2" \
    --opt=force-network-mode=none "${@:3}" >"$T/$1.log" 2>&1 &
  PID[$1]=$!; say "build $1 begins"
}
pause() { [ $SECONDS -lt "${GIVE_UP_SECONDS:-300}" ] || broke "it takes too long"; sleep 0.1; }
runs() { kill -0 "${PID[$1]}" 2>/dev/null; }
await_step() { # NAME STEP [STATE]
  until grep -A9 -e "$2" "$T/$1.log" | grep -qe "${3:-$2}"; do
    runs "$1" || { cat "$T/$1.log"; broke "build $1 ended before: $2"; }; pause
  done
}
await_exit() { while runs "$1" && ! hangs "$1"; do pause; done; }
end() { # NAME SIGNAL
  runs "$1" && kill -"$2" "${PID[$1]}" || broke "build $1 ended before it could be killed"
  ENDED[$1]=yes; say "build $1 is killed (SIG$2)"; wait "${PID[$1]}" 2>/dev/null
}
prune() { say "prune: $(buildctl prune "$@" | tail -n 1 | tr -s '\t' ' ')"; }
hangs() { # NAME: whether it still runs so long after its export was done
  grep -q "^$(grep -om1 '^#[0-9]* exporting to' "$T/$1.log" | cut -d' ' -f1) DONE" "$T/$1.log" || return 1
  : "${ENDED[$1]:=$SECONDS}"; [ $((SECONDS - ENDED[$1])) -ge "${HANG_SECONDS:-10}" ]
}
if [ -z "${BUILDKIT_HOST:-}" ]; then
  export BUILDKIT_HOST=unix://$S/buildkitd.sock
  buildkitd --root "$T/root" --addr "$BUILDKIT_HOST" --oci-worker-net=host >"$T/daemon.log" 2>&1 & DAEMON=$!
fi
until buildctl debug workers >/dev/null 2>&1; do [ $SECONDS -lt 60 ] || { cat "$T/daemon.log"; broke "no daemon"; }; pause; done
say "$({ [ -z "$DAEMON" ] || buildkitd --version; } | cut -d' ' -f3) at $BUILDKIT_HOST"
@ACTS@
for name in "${!PID[@]}"; do
  [ "${ENDED[$name]:-}" != yes ] || continue
  await_exit "$name"
  if runs "$name"; then tail -n 3 "$T/$name.log"; say "HANG: build $name has not returned"; CODE=1; continue; fi
  wait "${PID[$name]}" || { tail -n 5 "$T/$name.log"; broke "build $name failed"; }
  say "build $name returned"
done
exit $CODE
