# EXITS
# Exits with 1 if one of them fails with the error that is looked for at the end, 0 if none does, 2 if it broke.
# ENDS
  runs "$name" && broke "build $name has not returned"
  wait "${PID[$name]}" && { say "build $name returned"; CAME=yes; continue; }
  error=$(grep -i '^error: ' "$T/$name.log" | tail -n 1)
  grep -qP @FAILURE@ <<<"$error" || { say "build $name fails otherwise: $error"; continue; }
  say "FAILURE: build $name: $error"; CAME=yes CODE=1
done
[ "${CAME:-}" = yes ] || broke "no build came through"
