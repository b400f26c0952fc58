# EXITS
# Exits with 1 if one of them has not returned HANG_SECONDS (10) after its export was done, 0 if all have, 2 if it broke.
# ENDS
  if runs "$name"; then tail -n 3 "$T/$name.log"; say "HANG: build $name has not returned"; CODE=1; continue; fi
  wait "${PID[$name]}" || { tail -n 5 "$T/$name.log"; broke "build $name failed"; }
  say "build $name returned"
done
