using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Soft;

/// <summary>Guests with 1, 2 and 4 vCPUs, all at the same time, under load that checks itself.</summary>
[Collection(SoftGuests.Name)]
public sealed partial class Endurance(SoftHostFixture fixture, ITestOutputHelper output) : GuestTests(fixture)
{
    private static readonly TimeSpan EndLimit = TimeSpan.FromMinutes(20);

    [GuestFact]
    public async Task Guests_survive_hours_of_load()
    {
        Skip.If(!Soak.IsOn, "takes an hour: 'make soak', or CNVM_SOAK=1 with CNVM_SOAK_SECONDS for another duration, runs it");
        Report($"started {DateTime.UtcNow:u}, {Soak.Duration.TotalSeconds:F0} s of load, {GuestHostFixture.Vmm}");

        bool[] good = await Task.WhenAll(Soak.VirtualCpus.Select(LoadAsync));

        Assert.All(good, Assert.True);
    }

    private async Task<bool> LoadAsync(int cpus)
    {
        int seconds = (int)Soak.Duration.TotalSeconds;
        await using var scratch = new ScratchDirectory(Host);
        string programs = await GuestPrograms.AddDiskAsync(scratch, Host);
        (await Host.RunAsync($"cp --sparse=always --reflink=auto {Host.RootDisk} {scratch.Path}/root")).OrThrow();
        GuestSetup setup = GuestSetup.Debian with
        {
            Cpus = cpus,
            MemoryMiB = 768,
            Disks = [$"path={scratch.Path}/root,image_type=raw", programs],
        };
        await using GuestVm guest = await GuestVm.BootAsync(Host, setup);
        await GuestPrograms.UnpackAsync(guest, "vdb");
        string perl = GuestPrograms.Output("perl", "-e", "$s = 0; for (1 .. 100000) { $s = ($s * 3 + $_) % 1000003 } print $s, \" \", int(sqrt(2) * 1e15)");
        string digests = GuestPrograms.Output(GuestPrograms.SelfCheck, "digests");
        Assert.Equal(digests.Trim(), await guest.AskAsync("/run/selfcheck digests"));
        var clock = Stopwatch.StartNew();
        await guest.AskAsync(
            $"(/run/selfcheck run {seconds} {cpus} >/run/selfcheck.log 2>&1 & bash /run/load.sh {seconds} 2 '{perl}' >/run/load.log 2>&1; wait; echo CNVM-LOAD''-END >/dev/ttyS0) >/dev/null 2>&1 &");

        await guest.WaitForAsync("CNVM-LOAD-END", Soak.Duration + EndLimit);

        string results = await guest.AskAsync("grep -h -e ERROR -e checks= -e rounds= /run/selfcheck.log /run/load.log | head -n 40");
        string uptime = await guest.AskAsync("cut -d' ' -f1 /proc/uptime");
        string kernel = await guest.AskAsync("dmesg | grep -iE 'lockup|rcu.*stall|hung task|blocked for more|BUG:|Oops|general protection|segfault|marked unstable|WARNING:|Call Trace' | head -n 20 || true");
        await guest.PowerOffAsync();
        bool good = SelfCheckEnd().IsMatch(results) && LoadEnd().IsMatch(results) && kernel.Length == 0
            && double.Parse(uptime, CultureInfo.InvariantCulture) >= seconds;
        Report($"""
            {cpus} vCPUs: {(good ? "good" : "BAD")}; load ran {clock.Elapsed.TotalSeconds:F0} s, guest uptime {uptime} s
              {results.Replace("\n", "\n  ", StringComparison.Ordinal)}
              kernel messages of lockups, stalls and faults: {(kernel.Length == 0 ? "none" : "\n  " + kernel.Replace("\n", "\n  ", StringComparison.Ordinal))}
            """);
        return good;
    }

    private void Report(string text)
    {
        output.WriteLine(text);
        if (Soak.ReportFile is { } path)
        {
            lock (output)
            {
                File.AppendAllText(path, text + "\n");
            }
        }
    }

    [GeneratedRegex(@"selfcheck: checks=\d{3,} errors=0 rounds=[1-9]")]
    private static partial Regex SelfCheckEnd();

    [GeneratedRegex("load: rounds=[1-9][0-9]* errors=0")]
    private static partial Regex LoadEnd();
}
