# The size of the caller's terminal and its kind arrive on the kernel command line; a serial line carries neither.
for word in $(cat /proc/cmdline); do
    case $word in
        cnvm.rows=*) stty rows "${word#cnvm.rows=}" 2>/dev/null ;;
        cnvm.columns=*) stty columns "${word#cnvm.columns=}" 2>/dev/null ;;
        cnvm.term=*) infocmp "${word#cnvm.term=}" >/dev/null 2>&1 && export TERM=${word#cnvm.term=} ;;
    esac
done
unset word

# Asks the terminal for its size, after the window has been resized.
resize() {
    local position
    IFS=';' read -r -s -t 2 -d R -p $'\e7\e[9999;9999H\e[6n\e8' -a position </dev/tty || return
    stty rows "${position[0]#*[}" columns "${position[1]}"
}

# The escape sequence is the usual mark for "the prompt ends here" (OSC 133;B): invisible to people, and programs that type
# commands into this shell wait for it.
PS1='\u@\h:\w\$ \[\e]133;B\a\]'
alias ls='ls --color=auto'
echo CNVM-GUEST-READY
