using System.Globalization;
using Cnvm.Linux;

namespace Cnvm.Linux.Tests;

public sealed class ProgramPagesTests
{
    [Theory]
    [InlineData("5600a000-5600b000 r-xp 00001000 fe:00 123 /usr/bin/cnvm-vmm", true, true)]
    [InlineData("5600a000-5600b000 r--p 00001000 fe:00 123 /usr/bin/cnvm-vmm", true, true)]
    [InlineData("5600a000-5600b000 rw-p 00001000 fe:00 123 /usr/bin/cnvm-vmm", true, false)]
    [InlineData("5600a000-5600b000 r--s 00001000 00:01 5 /memfd:x (deleted)", true, false)]
    [InlineData("5600a000-5600b000 r-xp 00000000 00:00 0 [vdso]", true, false)]
    [InlineData("Anonymous:             0 kB", false, false)]
    [InlineData("", false, false)]
    public void Finds_code_and_constants(string line, bool isMapping, bool isCode)
    {
        Assert.Equal(isMapping, ProgramPages.TryParseMapping(line, out bool found, out ulong start, out ulong end));
        Assert.Equal(isCode, found);
        Assert.Equal(isMapping ? (0x5600a000UL, 0x5600b000UL) : (0UL, 0UL), (start, end));
    }

    /// <summary>In this order: what has been given back and is not used again stays away.</summary>
    [Fact]
    public void The_process_goes_on_with_less_of_its_files_resident()
    {
        long all = ResidentFileKiB();
        Assert.InRange(ResidentProgramKiB(), 1, all);

        ProgramPages.GiveBackProgram();

        // The program here is the framework's host, which waits; the libraries are much more.
        Assert.Equal(0, ResidentProgramKiB());
        Assert.InRange(ResidentFileKiB(), all - 1024, all + 1024);

        ProgramPages.GiveBack();

        Assert.InRange(ResidentFileKiB(), 1, all - 1024);
    }

    /// <summary>The code of the program's own file.</summary>
    private static long ResidentProgramKiB() =>
        File.ReadLines("/proc/self/smaps").SkipWhile(l => !l.Contains(" r-xp ", StringComparison.Ordinal) || !l.EndsWith(Environment.ProcessPath!, StringComparison.Ordinal))
            .Where(l => l.StartsWith("Rss:", StringComparison.Ordinal)).Select(Number).First();

    private static long ResidentFileKiB() => Number(File.ReadLines("/proc/self/status").First(l => l.StartsWith("RssFile:", StringComparison.Ordinal)));

    private static long Number(string line) => long.Parse(line.Split(' ', '\t').First(w => w.Length > 0 && char.IsDigit(w[0])), CultureInfo.InvariantCulture);
}
