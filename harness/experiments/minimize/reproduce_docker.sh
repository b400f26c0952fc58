# WHERE
# It makes a builder of its own with `docker buildx`, and removes it: in a container of BUILDKIT_IMAGE
# (moby/buildkit:buildx-stable-1), or for the buildkitd at BUILDKIT_HOST, whose cache it PRUNES. With BUILDX_BUILDER=NAME
# it takes that builder instead, `default` for the one in dockerd, PRUNES its cache, and leaves it.
# CLIENT
client() { exec setsid docker buildx build --progress=plain --network=none "${@:2}" "$1"; } # CONTEXT OPTION...
prune() { say "prune: $(docker buildx prune --force "$@" | tail -n 1 | tr -s '\t' ' ')"; }
leave() { [ -z "$DAEMON" ] || docker buildx rm --force "$DAEMON"; }
# DAEMON
if [ -z "${BUILDX_BUILDER:-}" ]; then
  export BUILDX_BUILDER=repro-$$ DAEMON=repro-$$
  how=(--driver=docker-container --driver-opt=image="${BUILDKIT_IMAGE:-moby/buildkit:buildx-stable-1}")
  [ -z "${BUILDKIT_HOST:-}" ] || how=(--driver=remote "$BUILDKIT_HOST")
  docker buildx create --name="$DAEMON" "${how[@]}" >"$T/daemon.log" 2>&1 || { cat "$T/daemon.log"; broke "no builder"; }
fi
docker buildx inspect --bootstrap >"$T/daemon.log" 2>&1 || { cat "$T/daemon.log"; broke "no daemon"; }
say "$(grep -im1 '^buildkit' "$T/daemon.log" | tr -s ' ') at $BUILDX_BUILDER"
