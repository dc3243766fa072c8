using System.Globalization;
using Cnvm.Nested;

namespace Cnvm.Guest.Tests;

/// <summary>What a VMM process holds at one moment.</summary>
/// <param name="Descriptors">Open file descriptors.</param>
/// <param name="Threads">Threads.</param>
/// <param name="RssKiB">Resident KiB in all mappings but the guest's RAM.</param>
/// <param name="AnonymousKiB">The anonymous part of that.</param>
/// <param name="HugeKiB">The part in transparent huge pages.</param>
/// <param name="Largest">The largest parts: KiB resident, of them anonymous, and the file.</param>
internal sealed record Footprint(int Descriptors, int Threads, long RssKiB, long AnonymousKiB, long HugeKiB, string Largest)
{
    /// <param name="ramMiB">The guest's RAM: mappings of exactly this size, below the 3 GiB hole, are the guest's.</param>
    public static async Task<Footprint> OfAsync(GuestHost host, GuestVm guest, int ramMiB)
    {
        // smaps: a mapping's first line has its addresses, then "Size:", "Rss:", "Anonymous:" and others, each in KiB (proc(5)).
        string program = string.Create(
            CultureInfo.InvariantCulture,
            $$"""/^[0-9a-f]+-/ { name = $6 } /^Size:/ { ram = $2 == {{ramMiB * 1024}}; found += ram } /^Rss:/ && !ram { rss += $2; r = $2 } /^Anonymous:/ && !ram { anonymous += $2; if (r > 100) print r, $2, name >"/dev/stderr" } /^AnonHugePages:/ && !ram { huge += $2 } END { print rss, anonymous, huge + 0, found + 0 }""");
        CommandResult result = (await host.RunAsync(
            $"ls /proc/{guest.ProcessId}/fd | wc -l; ls /proc/{guest.ProcessId}/task | wc -l; awk {Shell.Quote(program)} /proc/{guest.ProcessId}/smaps")).OrThrow();
        long[] numbers = [.. result.Output.Split([' ', '\n'], StringSplitOptions.RemoveEmptyEntries).Select(long.Parse)];
        Assert.True(numbers[5] == 1, $"{numbers[5]} mappings have the size of the guest's RAM");
        return new Footprint((int)numbers[0], (int)numbers[1], numbers[2], numbers[3], numbers[4], result.Error);
    }

    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"{Descriptors} descriptors, {Threads} threads, {RssKiB} KiB beyond guest RAM ({AnonymousKiB} anonymous, {HugeKiB} in huge pages)");
}
