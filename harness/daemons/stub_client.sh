# A build client that only pretends. $1: ok, hang, stall, silent, fail, late, unable, refuse, die, deaf, a number of seconds to build,
# `tail` and a number of seconds that pass between the export's end and the client's, or `orphan …`, to be killed.
step='{"vertexes":[{"digest":"sha256:1","name":"[1/1] RUN true","started":"2026-01-01T00:00:00Z"'
export='{"vertexes":[{"digest":"sha256:2","name":"exporting to image","started":"2026-01-01T00:00:00Z"'
done=',"completed":"2026-01-01T00:00:01Z"'

case $1 in
silent) exec sleep 1000 ;;
unable) echo "ERROR: Cache export is not supported for the docker driver."; exit 1 ;;
refuse) echo "ERROR: failed to connect: connection refused"; exit 1 ;;
esac
[ "$1" != deaf ] || trap '' TERM INT HUP
echo "$step}]}"
case $1 in
stall | orphan*) exec sleep 1000 ;;
fail) echo "$step$done,\"error\":\"process did not complete successfully: exit code: 1\"}]}"
	echo "ERROR: failed to solve: process did not complete successfully: exit code: 1"; exit 1 ;;
die) kill -9 $$ ;;
deaf) while :; do sleep 1; done ;;
[0-9]*) sleep "$1" ;;
esac
echo "$step$done}]}"
echo "$export}]}"
echo "$export$done}]}"
case $1 in
hang) exec sleep 1000 ;;
late) echo "ERROR: failed to build: failed to solve: parent snapshot sha256:$(printf %064d $$) does not exist: not found"; exit 1 ;;
tail*) exec sleep "${1#tail }" ;;
esac
