#!/usr/bin/perl
# answer.pl PORT: in the guest. Takes one TCP connection, and no other one ever. A line "NUMBER TEXT" is answered with the text turned round,
# and ends everything if it is not the one after the line before; "! COMMAND" is run by a shell: its exit code, and what it says in hexadecimal.
use strict;
use warnings;
use IO::Socket::INET;

my $listener = IO::Socket::INET->new(LocalPort => shift, Listen => 1, ReuseAddr => 1) or die "cannot listen: $@";
my $peer = $listener->accept or die "cannot accept: $!";
close $listener;
$peer->autoflush(1);
my $next = 0;
while (defined(my $line = <$peer>)) {
    if ($line =~ /^! (.*)/) {
        my $said = `( $1 ) 2>&1 </dev/null`;
        print $peer '! ', $? >> 8, ' ', unpack('H*', $said), "\n";
    } elsif ($line =~ /^(\d+) (\w+)$/ && $1 == $next) {
        print $peer "$1 ", scalar reverse($2), "\n";
        $next++;
    } else {
        die "line $next was to come, and this came: $line";
    }
}
