using System.Globalization;
using Cnvm.Nested;

namespace Cnvm.Guest.Tests;

/// <summary>What a VMM process in the nested host holds at one moment.</summary>
/// <param name="Descriptors">Open file descriptors.</param>
/// <param name="Threads">Threads.</param>
/// <param name="RssKiB">Resident KiB in all mappings but the guest's RAM.</param>
/// <param name="AnonymousKiB">The anonymous part of that.</param>
internal sealed record Footprint(int Descriptors, int Threads, long RssKiB, long AnonymousKiB)
{
    /// <param name="ramMiB">The guest's RAM: mappings of exactly this size, below the 3 GiB hole, are the guest's.</param>
    public static async Task<Footprint> OfAsync(NestedHost host, GuestVm guest, int ramMiB)
    {
        // smaps: a mapping's first line has its addresses, then "Size:", "Rss:", "Anonymous:" and others, each in KiB (proc(5)).
        string program = string.Create(
            CultureInfo.InvariantCulture,
            $$"""/^Size:/ { ram = $2 == {{ramMiB * 1024}}; found += ram } /^Rss:/ && !ram { rss += $2 } /^Anonymous:/ && !ram { anonymous += $2 } END { print rss, anonymous, found + 0 }""");
        string text = (await host.RunAsync(
            $"ls /proc/{guest.ProcessId}/fd | wc -l; ls /proc/{guest.ProcessId}/task | wc -l; awk {Shell.Quote(program)} /proc/{guest.ProcessId}/smaps")).OrThrow().Output;
        long[] numbers = [.. text.Split([' ', '\n'], StringSplitOptions.RemoveEmptyEntries).Select(long.Parse)];
        Assert.True(numbers[4] == 1, $"{numbers[4]} mappings have the size of the guest's RAM");
        return new Footprint((int)numbers[0], (int)numbers[1], numbers[2], numbers[3]);
    }

    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"{Descriptors} descriptors, {Threads} threads, {RssKiB} KiB beyond guest RAM ({AnonymousKiB} anonymous)");
}
