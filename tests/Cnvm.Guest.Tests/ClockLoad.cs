using System.Globalization;
using System.Text.RegularExpressions;
using Cnvm.Nested;

namespace Cnvm.Guest.Tests;

/// <summary>
/// A process with all vector registers in use, one that watches timers and the order of clocks, and a log of the clocks that goes to a third party,
/// which compares them with its own (steady.c and clock-log.pl).
/// </summary>
internal sealed partial class ClockLoad(GuestHost host, JoinedNetworks networks) : MigrationLoad("clocks")
{
    private const int Port = 5005;

    // clock-log.pl tells every hundred, and needs two hundred.
    private const int Enough = 300;

    // What a busy machine puts between a reading and its arrival even at the best of times, and the guest's idea of its TSC's frequency.
    private const double LimitMs = 20;
    private const double LimitPerSecond = 0.2;

    private HostProcess? _log;

    public override async Task StartAsync(GuestVm guest)
    {
        string program = Shell.Quote(GuestPrograms.Source("clock-log.pl"));
        _log = await host.StartAsync($"exec ip netns exec {networks.Third.Name} perl {program} {Port} 2>&1");
        await _log.WaitForAsync("CNVM-CLOCKS listening", GuestVm.Patience);
        await guest.AskAsync(JoinedNetworks.SetUpGuest);
        await guest.AskAsync($"(/run/steady 100000 log | nc {JoinedNetworks.ThirdAddress} {Port}) >/dev/null 2>&1 &");
        await _log.WaitForAsync("CNVM-CLOCKS first", GuestVm.Patience);
    }

    public override async Task<string> EndAsync(GuestVm guest)
    {
        // Enough for what is compared, all of it after the last move.
        int reached = Readings().Matches(_log!.Output) is [.., { } last] ? int.Parse(last.Groups[1].Value, CultureInfo.InvariantCulture) : 0;
        await _log.WaitForAsync(string.Create(CultureInfo.InvariantCulture, $"CNVM-CLOCKS readings={reached + Enough}."), GuestVm.Patience);
        await guest.AskAsync("killall -TERM steady");
        Assert.True(await _log.WaitForExitAsync(GuestVm.Patience) == 0, _log.Output);
        string said = _log.Output;
        Match end = End().Match(said);
        Assert.True(end.Success && SteadyEnd().IsMatch(said), said);
        double limit = LimitMs + (LimitPerSecond * Number("seconds"));
        Assert.True(Math.Abs(Number("realtime")) < limit && Math.Abs(Number("monotonic")) < limit, said);
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{Number("lines")} readings in {Number("seconds"):F0} s, wall clock {Number("realtime"):F1} ms and monotonic clock {Number("monotonic"):F1} ms from the host's, {Number("longest")} ms without one at most");

        double Number(string name) => double.Parse(end.Groups[name].Value, CultureInfo.InvariantCulture);
    }

    public override async ValueTask DisposeAsync()
    {
        if (_log is { } log)
        {
            await host.CleanUpAsync(() => log.DisposeAsync().AsTask());
        }

        await base.DisposeAsync();
    }

    [GeneratedRegex(@"CNVM-CLOCKS lines=(?<lines>\d+) seconds=(?<seconds>[\d.]+) realtime_apart_ms=(?<realtime>-?[\d.]+) monotonic_apart_ms=(?<monotonic>-?[\d.]+) longest_ms=(?<longest>\d+)\.")]
    private static partial Regex End();

    [GeneratedRegex(@"CNVM-CLOCKS readings=(\d+)\.")]
    private static partial Regex Readings();

    [GeneratedRegex(@"steady: checks=\d{3,} errors=0 .* registers=ymm")]
    private static partial Regex SteadyEnd();
}
