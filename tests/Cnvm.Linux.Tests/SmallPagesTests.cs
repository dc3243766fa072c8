using Cnvm.Linux;

namespace Cnvm.Linux.Tests;

public sealed class SmallPagesTests
{
    [Theory]
    [InlineData("7f2834000000-7f28340a8000 rw-p 00000000 00:00 0 ", true)]
    [InlineData("7f2834000000-7f28340a8000 ---p 00000000 00:00 0", true)]
    [InlineData("7f2834000000-7f28340a8000 rw-s 00000000 00:01 5 /memfd:x (deleted)", false)]
    [InlineData("7f2834000000-7f28340a8000 r-xp 00001000 fe:00 123 /usr/lib/libc.so.6", false)]
    [InlineData("7ffd4000-7ffd5000 rw-p 00000000 00:00 0 [stack]", false)]
    [InlineData("", false)]
    public void Finds_private_memory_without_a_file(string line, bool found) =>
        Assert.Equal(found, SmallPages.TryParse(line, out ulong start, out ulong end) && (start, end) == (0x7f2834000000, 0x7f28340a8000));

    /// <summary>"nh" among the flags of a mapping is MADV_NOHUGEPAGE (proc(5), VmFlags).</summary>
    [SkippableFact]
    public void Large_mappings_lose_their_huge_pages()
    {
        Skip.IfNot(Directory.Exists("/sys/kernel/mm/transparent_hugepage"), "this kernel has no transparent huge pages");
        const int Bytes = 8 << 20;
        nint memory = Libc.mmap(0, Bytes, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS, -1, 0);
        Assert.NotEqual(-1, memory);

        SmallPages.UseForMappedMemory();

        Assert.Contains("nh", FlagsAt((ulong)memory));
        Assert.Equal(0, Libc.munmap(memory, Bytes));
    }

    private static string[] FlagsAt(ulong address)
    {
        bool inside = false;
        foreach (string line in File.ReadLines("/proc/self/smaps"))
        {
            string[] words = line.Split([' ', '-'], StringSplitOptions.RemoveEmptyEntries);
            if (ulong.TryParse(words[0], System.Globalization.NumberStyles.AllowHexSpecifier, null, out ulong start) && line[..line.IndexOf(' ')].Contains('-'))
            {
                inside = start <= address && address < ulong.Parse(words[1], System.Globalization.NumberStyles.AllowHexSpecifier);
            }
            else if (inside && line.StartsWith("VmFlags:", StringComparison.Ordinal))
            {
                return words;
            }
        }

        return [];
    }
}
