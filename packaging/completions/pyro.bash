# bash completion for pyro: the program itself says what may come next.
_pyro() {
  local word line cword words
  if declare -F _get_comp_words_by_ref >/dev/null; then
    # An environment such as debian:12 is one word.
    _get_comp_words_by_ref -n : -c word -w words -i cword
  else
    words=("${COMP_WORDS[@]}") cword=$COMP_CWORD word=${COMP_WORDS[COMP_CWORD]}
  fi
  COMPREPLY=()
  while IFS= read -r line; do
    if [[ $line == :files ]]; then
      compopt -o filenames 2>/dev/null
      while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "$word")
    else
      COMPREPLY+=("${line%%$'\t'*}")
    fi
  done < <("${words[0]}" __complete "${words[@]:1:cword}" 2>/dev/null)
  if declare -F __ltrim_colon_completions >/dev/null; then __ltrim_colon_completions "$word"; fi
}
complete -F _pyro pyro
