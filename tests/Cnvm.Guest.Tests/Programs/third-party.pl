#!/usr/bin/perl
# third-party.pl ADDRESS PORT: holds one TCP connection with answer.pl in a guest. Every 20 ms it sends a numbered line, and each must
# come back, in order and turned round. Lines on standard input: "! COMMAND" has the guest run something, "mark" says how long the longest time without
# an answer was since the last mark, "quit" ends it when all that was sent is answered.
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC sleep);

use constant { PERIOD => 0.02, OUTSTANDING => 100, TEXT => 1000 };

my ($address, $port) = @ARGV;
my $peer;
for (1 .. 600) {
    $peer = IO::Socket::INET->new(PeerAddr => $address, PeerPort => $port, Timeout => 5) and last;
    sleep 0.5;
}
$peer or die "cannot connect: $@";
$peer->autoflush(1);
$| = 1;
print "CNVM-THIRD connected\n";

my ($sent, $answered, $bytes, $longest, $ends) = (0, 0, 0, 0, 0);
my ($marked, $input, $lines) = (0, '', '');
my $last = clock_gettime(CLOCK_MONOTONIC);
my $due = $last;
my $select = IO::Select->new($peer, \*STDIN);

sub text { my $n = shift; return substr(sprintf('%08x', ($n * 2654435761) & 0xffffffff) x (TEXT / 8), 0, TEXT) }

while (!$ends || $answered < $sent) {
    my $now = clock_gettime(CLOCK_MONOTONIC);
    if (!$ends && $now >= $due && $sent - $answered < OUTSTANDING) {
        print $peer "$sent ", text($sent), "\n" or die "cannot send: $!";
        $sent++;
        $due = $now + PERIOD;
    }
    for my $ready ($select->can_read(PERIOD)) {
        if ($ready == $peer) {
            sysread($peer, $lines, 1 << 16, length $lines) or die "CNVM-THIRD lost after $answered answers: $!\n";
            while ($lines =~ s/^(.*)\n//) {
                my $line = $1;
                if ($line =~ /^! (\d+) (\w*)$/) {
                    print "CNVM-ANSWER $1 $2.\n";
                    next;
                }
                my $expected = "$answered " . reverse(text($answered));
                $line eq $expected or die "CNVM-THIRD answer $answered is '$line'\n";
                $now = clock_gettime(CLOCK_MONOTONIC);
                $longest = $now - $last if $now - $last > $longest;
                $last = $now;
                $answered++;
                $bytes += length($line) + 1;
            }
        } elsif (!sysread(STDIN, $input, 4096, length $input)) {
            die "CNVM-THIRD nobody asks any more\n";
        }
    }
    while ($input =~ s/^(.*)\n//) {
        my $line = $1;
        if ($line eq 'mark') {
            printf "CNVM-MARK longest_ms=%.0f answers=%d.\n", $longest * 1000, $answered - $marked;
            ($longest, $marked, $last) = (0, $answered, clock_gettime(CLOCK_MONOTONIC));
        } elsif ($line eq 'quit') {
            $ends = 1;
        } else {
            print $peer "$line\n" or die "cannot send: $!";
        }
    }
}
print "CNVM-THIRD done answers=$answered bytes_each_way=$bytes.\n";
