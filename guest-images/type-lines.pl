#!/usr/bin/perl
# type-lines.pl COMMAND...: runs a command whose output is a guest's console, and types the lines of its own input into that guest, one
# at each shell prompt. The Debian image ends its prompt with the terminal sequence OSC 133;B. At the end of the input it types
# "poweroff". Passes the console on as it comes, without the marks. Exits as the command does; CNVM_SILENCE seconds (600) without
# any output end the command.
use strict;
use warnings;
use IO::Select;
use IPC::Open2;
use POSIX qw(WNOHANG);

my $silence = $ENV{CNVM_SILENCE} || 600;
my $mark = "\e]133;B\a";
$| = 1;
$SIG{PIPE} = 'IGNORE';

# open2 takes the command's standard output; its standard error stays ours.
my $pid = open2(my $console, my $keyboard, @ARGV);
for my $signal (qw(INT TERM HUP)) {
    $SIG{$signal} = sub { kill $signal => $pid };
}

my $wait = IO::Select->new($console);
my $pending = '';
my $ended = 0;
my $silent = 0;
my $status;
while (1) {
    if (!$wait->can_read(1)) {
        # The console ends with the command, unless something that it left behind holds it open.
        if (waitpid($pid, WNOHANG) == $pid) {
            $status = $?;
            last;
        }
        next if ++$silent < $silence;
        print STDERR "boot: nothing from the guest for $silence s, giving up\n";
        kill TERM => $pid;
        waitpid $pid, 0;
        exit 124;
    }
    $silent = 0;
    my $count = sysread $console, my $chunk, 65536;
    last if !$count;
    $pending .= $chunk;
    while ((my $at = index $pending, $mark) >= 0) {
        print substr $pending, 0, $at;
        substr($pending, 0, $at + length $mark) = '';
        # Blocks while the next line is not there yet, as a person at a prompt would.
        my $line = $ended ? undef : <STDIN>;
        if (!defined $line) {
            # Only once: the prompt appears again while the guest goes down.
            next if $ended++;
            $line = 'poweroff';
        }
        $line =~ s/\r?\n\z//;
        $ended = 1 if $line =~ /^\s*poweroff\b/;
        syswrite $keyboard, "$line\n";
    }
    # Half a mark may still be on its way.
    my $keep = 0;
    for my $length (reverse 1 .. length($mark) - 1) {
        if (length $pending >= $length && substr($pending, -$length) eq substr($mark, 0, $length)) {
            $keep = $length;
            last;
        }
    }
    print substr $pending, 0, length($pending) - $keep;
    $pending = $keep ? substr($pending, -$keep) : '';
}
print $pending;
if (!defined $status) {
    waitpid $pid, 0;
    $status = $?;
}
exit($status & 127 ? 128 + ($status & 127) : $status >> 8);
