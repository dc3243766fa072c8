using System.Text;
using Cnvm.Arch.Boot;
using Cnvm.Arch.Machine;
using Cnvm.Fuzz;
using Xunit;

namespace Cnvm.Arch.Tests.Boot;

/// <summary>What is refused, and how.</summary>
public sealed partial class BootLoaderTests
{
    [Theory]
    [MemberData(nameof(BadElf))]
    public void Bad_elf_is_refused_before_memory_changes(string what, Action<byte[]> damage, string expected)
    {
        var file = TestKernels.Elf(pvh: true);
        damage(file);
        var refusal = Assert.Throws<KernelLoadException>(() => Load(file));

        Assert.True(refusal.Message.Contains(expected, StringComparison.Ordinal), $"{what}: {refusal.Message}");
        Assert.Contains("test-kernel", refusal.Message, StringComparison.Ordinal);
        Assert.False(_memory.GetSpan(0, RamSize).ContainsAnyExcept((byte)0));
    }

    [Fact]
    public void Elf_without_pvh_needs_an_entry_inside()
    {
        var file = TestKernels.Elf(pvh: false);
        file[26] = 0x20;
        Assert.Contains("e_entry", Assert.Throws<KernelLoadException>(() => Load(file)).Message, StringComparison.Ordinal);
    }

    public static TheoryData<string, Action<byte[]>, string> BadBzImage { get; } = new()
    {
        { "magic", f => f[0x202] = 0, "not a kernel" },
        { "boot flag", f => f[0x1FE] = 0, "not a kernel" },
        { "old protocol", f => f[0x206] = 5, "not a kernel|2.05" },
        { "zImage", f => f[0x211] = 0, "zImage" },
        { "truncated", f => f[0x1F6] = 1, "truncated" },
        { "all setup", f => f[0x1F1] = 255, "truncated" },
        { "payload outside", f => f[0x24F] = 0x7F, "payload" },
        { "init size", f => f[0x263] = 0x10, "more memory" },
        { "pref_address", f => f[0x25F] = 0x10, "pref_address" },
    };

    [Theory]
    [MemberData(nameof(BadBzImage))]
    public void Bad_bzimage_is_refused_before_memory_changes(string what, Action<byte[]> damage, string expected)
    {
        var file = TestKernels.BzImage();
        if (what == "old protocol")
        {
            file[0x207] = 2;
        }

        damage(file);
        var refusal = Assert.Throws<KernelLoadException>(() => Load(file));

        Assert.True(expected.Split('|').Any(e => refusal.Message.Contains(e, StringComparison.Ordinal)), $"{what}: {refusal.Message}");
        Assert.False(_memory.GetSpan(0, RamSize).ContainsAnyExcept((byte)0));
    }

    [Fact]
    public void Requests_that_cannot_be_met_say_why()
    {
        AssertRefused("empty", () => Load([]));
        AssertRefused("not a kernel", () => Load(Encoding.ASCII.GetBytes("#!/bin/sh\n")));
        AssertRefused("no PVH entry", () => Load(TestKernels.Elf(false), configure: r => r with { Protocol = BootProtocol.Pvh }));
        AssertRefused("32-bit entry", () => Load(TestKernels.Elf(true), configure: r => r with { Protocol = BootProtocol.Linux32 }));
        AssertRefused("64-bit entry", () =>
            Load(TestKernels.BzImage(entry64: false), configure: r => r with { Protocol = BootProtocol.Linux64 }));
        AssertRefused("vmlinux instead", () => Load(TestKernels.BzImage(), configure: r => r with { Protocol = BootProtocol.Pvh }));
        AssertRefused("at most 2047", () => Load(TestKernels.BzImage(), commandLine: new string('x', 2048)));
        AssertRefused("at most 65535", () => Load(TestKernels.Elf(true), commandLine: new string('x', 65536)));
        AssertRefused("NUL", () => Load(TestKernels.Elf(true), commandLine: "a\0b"));
        AssertRefused("Unicode", () => Load(TestKernels.Elf(true), commandLine: "\ud800"));
        AssertRefused("initramfs", () => Load(TestKernels.Elf(true), initramfs: []));
        AssertRefused("more memory", () => Load(TestKernels.Elf(true), initramfs: new byte[50 << 20]));
        AssertRefused("does not exist", () => KernelFile.Open("/nonexistent/vmlinux", "kernel"));
        AssertRefused("directory", () => KernelFile.Open("/", "kernel"));
        Load(TestKernels.BzImage(), commandLine: new string('x', 2047));
    }

    [Fact]
    public void Files_are_read_in_place()
    {
        var path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, TestKernels.Elf(pvh: true));
            using var file = KernelFile.Open(path, "kernel");
            var image = KernelImage.Parse(file);
            Assert.True(image.IsElf);
            Assert.Equal(TestKernels.PvhEntry, image.PvhEntry);
            Assert.Equal(0x800, file.Length);
        }
        finally
        {
            File.Delete(path);
        }
    }

    /// <summary>Whatever is in the file, the loader either loads it or says why not.</summary>
    [Fact]
    public void Mutated_kernels_only_ever_end_in_a_refusal()
    {
        byte[][] kernels =
        [
            TestKernels.Elf(pvh: true),
            TestKernels.Elf(pvh: false),
            TestKernels.BzImage(),
            TestKernels.BzImage(TestKernels.Gzip(TestKernels.Elf(pvh: true))),
        ];
        var refused = 0;
        var runs = SeededRuns.Repeat(12_000, seed =>
        {
            var random = new Random(seed);
            var file = kernels[seed % kernels.Length].AsSpan().ToArray();
            for (var i = random.Next(1, 6); i > 0; i--)
            {
                // Mostly headers, where every bit means something; values at the edges as often as random ones.
                var position = random.Next(3) == 0 ? random.Next(file.Length) : random.Next(0x290);
                file[position] = random.Next(3) switch { 0 => 0xFF, 1 => 0, _ => (byte)random.Next(256) };
            }

            if (random.Next(8) == 0)
            {
                Array.Resize(ref file, random.Next(file.Length));
            }

            try
            {
                Load(file, initramfs: random.Next(2) == 0 ? new byte[100] : null, configure: r => r with
                {
                    Protocol = (BootProtocol)random.Next(4),
                    MemoryIsZero = true,
                });
            }
            catch (KernelLoadException)
            {
                refused++;
            }
        });

        Assert.InRange(refused, runs / 10, runs - 1);
    }
}
