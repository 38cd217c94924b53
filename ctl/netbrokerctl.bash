# SPDX-License-Identifier: Apache-2.0
# Completion of netbrokerctl(1) for bash.

# The names of tenants, as far as netbrokerd tells them to who is typing.
_netbrokerctl_tenants() {
    netbrokerctl tenants 2>/dev/null | awk 'NR > 1 { print $1 }'
}

_netbrokerctl() {
    local commands='status tenants sessions connections relays certificates quota check dump keys explain test reload revoke drain undrain watch suggest token log-level metrics help'
    local options='--admin-socket --audit --connect --defaults --deny --expires --expiry-warning --help --issuer --json --key --label --listen --not-before --output --policy --protocol --quota --resolve --session --tenant --verb --verdict --version --wait'
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command='' words='' i

    COMPREPLY=()
    case $previous in
    --admin-socket | --audit | --defaults | --key | --output | --policy)
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    --tenant) words=$(_netbrokerctl_tenants) ;;
    --verdict) words='allowed denied reported dropped' ;;
    --verb) words='accept admin connect hello listen open' ;;
    --connect | --deny | --expires | --issuer | --label | --listen | --not-before | --quota | --expiry-warning | --protocol | --session) return ;;
    esac
    if [[ -n $words ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
        return
    fi
    if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
        return
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --connect | --deny | --expires | --issuer | --key | --label | --listen | --not-before | --output | --quota | --admin-socket | --audit | --defaults | --expiry-warning | --policy | --protocol | --session | --tenant | --verb | --verdict) i=$((i + 1)) ;;
        -*) ;;
        *)
            command=${COMP_WORDS[i]}
            break
            ;;
        esac
    done
    case $command in
    '') words=$commands ;;
    help) words=$commands ;;
    log-level) words='error warning notice info debug' ;;
    revoke) [[ $previous == revoke ]] && words='session connection protocol' || words=$(_netbrokerctl_tenants) ;;
    quota | suggest | dump) words=$(_netbrokerctl_tenants) ;;
    explain) [[ $previous == explain ]] && words=$(_netbrokerctl_tenants) || words='connect listen accept' ;;
    token)
        if [[ $previous == token ]]; then
            words='keygen new attenuate close show verify revoke'
        else
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
            return
        fi
        ;;
    check | test)
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -F _netbrokerctl netbrokerctl
