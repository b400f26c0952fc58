# WHERE
# It starts a buildkitd of its own (root; runc on PATH), and ends it: its programs come from PATH, or from the folder
# BUILDKIT_BIN. With BUILDKIT_HOST=ADDRESS it takes that daemon instead, PRUNES its cache, and leaves it running.
# CLIENT
S=$(mktemp -d /tmp/repro-XXXXXX) PATH=${BUILDKIT_BIN:+$BUILDKIT_BIN:}$PATH # S: a socket's path must be short
client() { # CONTEXT OPTION...
  exec setsid buildctl build --progress=plain --frontend=dockerfile.v0 --local=context="$1" --local=dockerfile="$1" \
    --opt=force-network-mode=none "${@:2}"
}
prune() { say "prune: $(buildctl prune "$@" | tail -n 1 | tr -s '\t' ' ')"; }
leave() { kill -9 "$DAEMON"; wait; grep -o " $T/[^ ]*" /proc/mounts | sort -ru | xargs -r umount -l; rm -rf "$S"; }
# DAEMON
if [ -z "${BUILDKIT_HOST:-}" ]; then
  export BUILDKIT_HOST=unix://$S/buildkitd.sock
  buildkitd --root "$T/root" --addr "$BUILDKIT_HOST" --oci-worker-net=host >"$T/daemon.log" 2>&1 & DAEMON=$!
fi
until buildctl debug workers >/dev/null 2>&1; do [ $SECONDS -lt 60 ] || { cat "$T/daemon.log"; broke "no daemon"; }; pause; done
say "$({ [ -z "$DAEMON" ] || buildkitd --version; } | cut -d' ' -f3) at $BUILDKIT_HOST"
