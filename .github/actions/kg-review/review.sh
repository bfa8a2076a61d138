#!/usr/bin/env bash
# Checks the laws of the working tree, by the runs that they cite and by all others, and says what changed from $BASE to $HEAD: annotations to the log, Markdown to the
# job summary and to $REPORT/comment.md. Fails if the laws cannot be used or contradict their evidence; a change as such
# is no failure, since a person judges it.
# Reads BASE, HEAD, LAWS, TOOLCHAIN, NUMBER, REPORT, GITHUB_STEP_SUMMARY and GITHUB_OUTPUT.
set -uo pipefail

fail() {
  echo "::error title=kg-review::$1"
  exit 2
}

[[ "$BASE" =~ ^[0-9a-f]{40}$ && "$HEAD" =~ ^[0-9a-f]{40}$ ]] || fail "base and head must be full commit hashes"
[[ -z "$NUMBER" || "$NUMBER" =~ ^[1-9][0-9]{0,9}$ ]] || fail "number must be that of a pull request"
mkdir -p "$REPORT" || fail "cannot write $REPORT"

kg --laws "$LAWS" check --format github
checked=$?
case $checked in
  0) verdict=clean ;;
  1) verdict=findings ;;
  2) verdict=unusable ;;
  *) fail "kg check ended with $checked" ;;
esac

# Evidence is not chosen: what recorded runs say that no law cites would change a status.
if [[ $verdict == clean ]]; then
  kg --laws "$LAWS" verify --all >"$REPORT/verified"
  verified=$?
  ((verified <= 1)) || fail "kg verify ended with $verified"
  if ((verified == 1)); then
    verdict=findings
    grep -E -e '^[a-z0-9][a-z0-9_.-]*: [a-z]+ .*; [a-z]+ -> [a-z]+$' -e '^  DIFFERS: ' "$REPORT/verified" |
      head -n 50 | sed 's/%/%25/g; s/^/::error title=kg verify::/'
  fi
  rm -f "$REPORT/verified"
fi

# The fork point: what main gained since then is not this pull request's doing.
base=$(git merge-base "$BASE" "$HEAD") || fail "no common ancestor of $BASE and $HEAD; check out with fetch-depth: 0"
words=(--laws "$LAWS" diff "$base" "$HEAD")
[[ -z "$TOOLCHAIN" ]] || words+=(--toolchain "$TOOLCHAIN")
kg "${words[@]}" --format markdown >"$REPORT/comment.md" 2>"$REPORT/problems"
compared=$?
if ((compared == 2)); then
  # The marker makes the next push replace this; four spaces keep what the laws say from being markup.
  {
    printf '<!-- kg diff -->\n### Laws: the difference cannot be told\n\n'
    sed 's/^/    /' "$REPORT/problems" | head -c 20000
  } >"$REPORT/comment.md"
elif ((compared > 1)); then
  cat "$REPORT/problems" >&2
  fail "kg diff ended with $compared"
elif ((compared == 1)); then
  kg "${words[@]}" --format github
fi
rm -f "$REPORT/problems"

case $verdict in
  findings) printf '\n**`kg check` or `kg verify` found that laws contradict their own evidence; see the annotations.**\n' ;;
  unusable) printf '\n**`kg check` cannot use every file; see the annotations.**\n' ;;
esac >>"$REPORT/comment.md"
printf '%s\n' "$HEAD" >"$REPORT/head"
printf '%s\n' "$NUMBER" >"$REPORT/number"
cat "$REPORT/comment.md" >>"$GITHUB_STEP_SUMMARY"
printf 'report=%s\nverdict=%s\n' "$REPORT" "$verdict" >>"$GITHUB_OUTPUT"
