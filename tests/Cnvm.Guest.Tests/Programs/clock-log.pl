#!/usr/bin/perl
# clock-log.pl PORT: somebody on the guest's network. Takes one TCP connection with what "steady SECONDS log" says, compares the guest's clocks with
# its own as they come, and prints every other line. A reading comes late, never early: how far the clocks are apart is what the quickest of a hundred
# readings says, and that of the last hundred must be that of the first, however often the guest has stood still in between.
use strict;
use warnings;
use IO::Socket::INET;
use List::Util qw(min);
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC CLOCK_REALTIME);

use constant WINDOW => 100;

my $listener = IO::Socket::INET->new(LocalPort => shift, Listen => 1, ReuseAddr => 1) or die "cannot listen: $@";
$| = 1;
print "CNVM-CLOCKS listening\n";
my $peer = $listener->accept or die "cannot accept: $!";
close $listener;

my ($lines, $start, $last, $longest) = (0, 0, 0, 0);
my (@first, @latest);
while (defined(my $line = <$peer>)) {
    my ($monotonic, $realtime) = (clock_gettime(CLOCK_MONOTONIC), clock_gettime(CLOCK_REALTIME));
    if ($line !~ /^clock (\d+) (\d+) (\d+)$/) {
        print $line;
        next;
    }
    $1 == $lines or die "CNVM-CLOCKS reading $1 came where $lines was to come\n";
    my $late = [$realtime - $3 / 1e9, $monotonic - $2 / 1e9];
    if ($lines++ == 0) {
        print "CNVM-CLOCKS first\n";
        $start = $last = $monotonic;
    }
    $longest = $monotonic - $last if $monotonic - $last > $longest;
    $last = $monotonic;
    push @first, $late if @first < WINDOW;
    push @latest, $late;
    shift @latest if @latest > WINDOW;
    print "CNVM-CLOCKS readings=$lines.\n" if $lines % WINDOW == 0;
}
$lines >= 2 * WINDOW or die "CNVM-CLOCKS only $lines readings came\n";
my @apart = map { my $clock = $_; 1000 * (min(map { $_->[$clock] } @latest) - min(map { $_->[$clock] } @first)) } 0, 1;
printf "CNVM-CLOCKS lines=%d seconds=%.1f realtime_apart_ms=%.3f monotonic_apart_ms=%.3f longest_ms=%.0f.\n", $lines, $last - $start, @apart, $longest * 1000;
