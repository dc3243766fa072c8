using System.Globalization;
using System.Text.RegularExpressions;
using Cnvm.Nested;

namespace Cnvm.Guest.Tests;

/// <summary>
/// Linux' own clocks over snapshots that hold them: they go on by as much as the host's does, less what the machine stood still. How long that was, its
/// VMM's events tell.
/// </summary>
internal sealed partial class HeldClocks
{
    private const int Tries = 3;

    // /proc/uptime is cut to hundredths of a second.
    private const double UptimeGrain = 0.01;

    // A restored clock runs a little before the event that tells of it, and one that is stopped has stopped a little before, too: seconds, on average.
    private const double SettingLimit = 0.004;
    private const double StoppingLimit = 0.001;

    // Of each second: the guest's idea of its TSC's frequency.
    private const double RateLimit = 0.0002;

    private readonly GuestHost _host;
    private readonly GuestVm _guest;
    private readonly Reading _first;

    private HeldClocks(GuestHost host, GuestVm guest, Reading first)
    {
        _host = host;
        _guest = guest;
        _first = first;
    }

    /// <summary>Before the first snapshot; the programs are in the guest.</summary>
    public static async Task<HeldClocks> StartAsync(GuestHost host, GuestVm guest) => new(host, guest, await ReadAsync(host, guest));

    /// <summary>After the last one, in the same process. Returns the figures.</summary>
    /// <param name="snapshots">How often it was saved and restored since.</param>
    public async Task<string> EndAsync(int snapshots)
    {
        Reading last = await ReadAsync(_host, _guest);
        double stood = await StoodStillAsync(snapshots);
        double host = last.Middle - _first.Middle;
        double ran = host - stood;
        double unsure = last.Unsure + _first.Unsure;
        double monotonic = last.Monotonic - _first.Monotonic - ran;
        double realtime = last.Realtime - _first.Realtime - ran;
        string figures = string.Create(
            CultureInfo.InvariantCulture,
            $"held clocks: {snapshots} snapshots in {host:F2} s, of which it stood still {stood:F2} s; monotonic clock {monotonic * 1e3:F1} ms and wall clock {realtime * 1e3:F1} ms from the rest, +-{unsure * 1e3:F1} ms; {monotonic * 1e6 / snapshots:F0} us for each snapshot");
        double least = -unsure - (ran * RateLimit) - (snapshots * StoppingLimit);
        double most = unsure + (ran * RateLimit) + (snapshots * SettingLimit);
        Assert.True(monotonic >= least && monotonic <= most && realtime >= least && realtime <= most, figures);
        return figures;
    }

    /// <summary>From the event after the clocks have stopped to the one after they have been set, in seconds, over all snapshots.</summary>
    private async Task<double> StoodStillAsync(int snapshots)
    {
        await _guest.WaitForEventAsync("vm", "restored", snapshots);
        string events = (await _host.RunAsync(
            $$"""tr -d ' \n' <{{_guest.Directory}}/events | sed 's/{"timestamp"/\n&/g' | grep -E '"source":"vm","event":"(paused|restored)"'""",
            GuestVm.Patience)).OrThrow().Output;
        double stood = 0;
        double? since = null;
        int count = 0;
        foreach (Match match in Event().Matches(events))
        {
            double at = Number(match.Groups["secs"].Value) + (Number(match.Groups["nanos"].Value) / 1e9);
            if (match.Groups["name"].Value == "paused")
            {
                since = at;
            }
            else
            {
                stood += at - (since ?? throw new InvalidOperationException($"the machine was restored, and never paused before: {events}"));
                since = null;
                count++;
            }
        }

        Assert.Equal(snapshots, count);
        return stood;
    }

    /// <summary>The reading of some that took least.</summary>
    private static async Task<Reading> ReadAsync(GuestHost host, GuestVm guest)
    {
        Reading? best = null;
        for (int i = 0; i < Tries; i++)
        {
            double before = await UptimeAsync(host);
            string[] clock = (await guest.AskAsync("/run/steady clocks")).Split(' ');
            double after = await UptimeAsync(host) + UptimeGrain;
            var reading = new Reading((before + after) / 2, (after - before) / 2, Number(clock[2]) / 1e9, Number(clock[3]) / 1e9);
            best = best is null || reading.Unsure < best.Unsure ? reading : best;
        }

        return best!;
    }

    private static async Task<double> UptimeAsync(GuestHost host) => Number((await host.RunAsync("cut -d' ' -f1 /proc/uptime", GuestVm.Patience)).OrThrow().Output);

    private static double Number(string text) => double.Parse(text, CultureInfo.InvariantCulture);

    [GeneratedRegex("""\{"secs":(?<secs>\d+),"nanos":(?<nanos>\d+)\},"source":"vm","event":"(?<name>paused|restored)\b""")]
    private static partial Regex Event();

    /// <summary>All in seconds.</summary>
    /// <param name="Middle">The host's clock, between what it said before and after the guest's were read.</param>
    /// <param name="Unsure">The guest's were read no more than this before or after it.</param>
    private sealed record Reading(double Middle, double Unsure, double Monotonic, double Realtime);
}
