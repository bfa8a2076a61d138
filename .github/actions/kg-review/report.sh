#!/usr/bin/env bash
# Reports a review: the status `laws` of the commit $HEAD_SHA, always, and $REPORT/comment.md as the one comment of the pull
# request $NUMBER. An empty comment is not posted, unless an earlier one has to be replaced. What laws say is in the
# comment: nothing of it is executed, and its size is capped.
# Reads REPORT, REPOSITORY, NUMBER, HEAD_SHA, VERDICT, RUN_URL, and GH_TOKEN through gh.
set -euo pipefail

MARKER='<!-- kg diff -->'
MAX_BYTES=65000 # a comment holds 65,536 characters

refuse() {
  echo "::error title=kg-review::$1"
  set_status error "$1"
  exit 1
}

set_status() {
  gh api --method POST "repos/$REPOSITORY/statuses/$HEAD_SHA" --raw-field "state=$1" --raw-field "description=$2" \
    --raw-field context=laws --raw-field "target_url=$RUN_URL" --silent
}

[[ "$HEAD_SHA" =~ ^[0-9a-f]{40}$ ]] || {
  echo "::error title=kg-review::the event names no commit"
  exit 1
}
case "$VERDICT" in
  clean) judged=(success "Laws and evidence agree") ;;
  findings) judged=(failure "Laws contradict their evidence") ;;
  unusable) judged=(failure "Not every file can be used") ;;
  none) judged=() ;;
  *) refuse "The review did not end" ;;
esac
[[ "$VERDICT" != none ]] || {
  echo "No open pull request: its next run reports."
  exit 0
}
[[ "$NUMBER" =~ ^[1-9][0-9]{0,9}$ ]] || refuse "The review names no pull request"
[[ -f "$REPORT/comment.md" && ! -L "$REPORT/comment.md" ]] || refuse "The review left no comment"
(($(wc -c <"$REPORT/comment.md") <= 4 * MAX_BYTES)) || refuse "The comment is too long"

set_status "${judged[@]}"
body=$(mktemp)
trap 'rm -f "$body"' EXIT
# Whole characters only: iconv drops what the cut leaves of the last one, and what is not UTF-8 at all.
head -c "$MAX_BYTES" "$REPORT/comment.md" | tr -d '\000' | iconv -f utf-8 -t utf-8 -c >"$body" || true
mine=".user.login == \"github-actions[bot]\" and (.body | startswith(\"$MARKER\"))"
comment=$(gh api --paginate "repos/$REPOSITORY/issues/$NUMBER/comments?per_page=100" --jq ".[] | select($mine) | .id" | sed -n 1p)
if [[ "$comment" =~ ^[0-9]+$ ]]; then
  [[ -s "$body" ]] || printf '%s\n### Laws: nothing changed in meaning any more\n' "$MARKER" >"$body"
  gh api --method PATCH "repos/$REPOSITORY/issues/comments/$comment" --field "body=@$body" --silent
  echo "Updated comment $comment of pull request $NUMBER."
elif [[ -s "$body" ]]; then
  gh api --method POST "repos/$REPOSITORY/issues/$NUMBER/comments" --field "body=@$body" --silent
  echo "Commented on pull request $NUMBER."
fi
