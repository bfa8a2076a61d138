#!/usr/bin/env bash
# Finds the open pull request into $BRANCH whose head is $HEAD_SHA, and fetches what GitHub would make of merging it.
# Nothing that the pull request says is asked: repository, branch and commit of its head come from the workflow_run event.
# Reads REPOSITORY, BRANCH, HEAD_OWNER, HEAD_BRANCH, HEAD_SHA, GITHUB_OUTPUT, and GH_TOKEN through gh. Writes to the output
# `number`, `base` and `merge`; no number and the verdict `none` where there is none, or where it has moved on and its next
# run is reviewed.
set -euo pipefail

fail() {
  echo "::error title=kg-review::$1"
  exit 1
}

none() {
  echo "$1"
  printf 'number=\nverdict=none\n' >>"$GITHUB_OUTPUT"
  exit 0
}

[[ "$HEAD_SHA" =~ ^[0-9a-f]{40}$ ]] || fail "the event names no commit"
found=$(gh api --method GET "repos/$REPOSITORY/pulls" --raw-field state=open --raw-field "base=$BRANCH" \
  --raw-field "head=$HEAD_OWNER:$HEAD_BRANCH" --jq ".[] | select(.head.sha == \"$HEAD_SHA\") | .number")
number=$(sed -n 1p <<<"$found")
[[ -n "$number" ]] || none "No open pull request into $BRANCH has the head $HEAD_SHA."
[[ "$number" =~ ^[1-9][0-9]{0,9}$ ]] || fail "GitHub names no pull request"

git -c credential.helper='!gh auth git-credential' fetch --quiet --no-tags --no-recurse-submodules origin \
  "+refs/heads/$BRANCH:refs/remotes/origin/$BRANCH" "+refs/pull/$number/merge:refs/kg-review/merge" ||
  fail "pull request $number cannot be merged: resolve its conflicts"
merge=$(git rev-parse --verify 'refs/kg-review/merge^{commit}')
read -r -a parents <<<"$(git show --no-patch --format=%P "$merge")"
((${#parents[@]} == 2)) || fail "GitHub's merge of pull request $number is no merge"
[[ "${parents[1]}" == "$HEAD_SHA" ]] || none "Pull request $number has moved on from $HEAD_SHA: its next run is reviewed."
git merge-base --is-ancestor "${parents[0]}" "refs/remotes/origin/$BRANCH" || fail "${parents[0]} is not in $BRANCH"
printf 'number=%s\nbase=%s\nmerge=%s\n' "$number" "${parents[0]}" "$merge" >>"$GITHUB_OUTPUT"
