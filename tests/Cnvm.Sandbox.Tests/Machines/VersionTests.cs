using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using Cnvm.Agent.Protocol;
using Cnvm.Nested;
using Cnvm.Sandbox.Machine;
using Cnvm.Sandbox.Tests.Support;

namespace Cnvm.Sandbox.Tests.Machines;

/// <summary>Kernel, initramfs, agent and library that do not belong together are refused by their versions.</summary>
public sealed class VersionTests : IDisposable
{
    private const string Id = "00112233445566778899aabbccddeeff00112233";
    private readonly TemporaryDirectory _folder = new(Path.GetTempPath(), "cnvm-versions-");

    private string Kernel => _folder.File("kernel");

    private string Initramfs => _folder.File("initramfs");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task An_agent_of_another_protocol_is_refused_with_both_versions_and_leaves_nothing()
    {
        await using var vmm = new FakeVmm(protocol: "9.9\u001b[2J\n" + new string('x', 1000));
        SandboxException refused = await Assert.ThrowsAsync<SandboxException>(() => vmm.StartAsync(vmm.Options));
        Assert.Equal(SandboxErrorKind.Incompatible, refused.Kind);
        Assert.Contains($"the agent in {vmm.Options.Initramfs} (version 'fake') speaks version '9.9\ufffd[2J ", refused.Message, StringComparison.Ordinal);
        Assert.Contains($"this library {HealthService.ProtocolVersion}: ", refused.Message, StringComparison.Ordinal);
        Assert.Contains("make images", refused.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(new string('x', 100), refused.Message, StringComparison.Ordinal);
        Assert.False(Directory.Exists(vmm.Options.Folder));
    }

    [Fact]
    public async Task A_kernel_of_another_build_is_refused_before_anything_is_started()
    {
        File.WriteAllBytes(Kernel, Elf(Id));
        File.WriteAllBytes(Initramfs, Cpio($"0123456789abcdef\nkernel {new string('f', 40)}\n"));
        await using var vmm = new FakeVmm();
        SandboxOptions options = vmm.Options with { Kernel = Kernel, Initramfs = Initramfs };
        SandboxException refused = await Assert.ThrowsAsync<SandboxException>(() => SandboxVm.StartAsync(options));
        Assert.Equal(SandboxErrorKind.Incompatible, refused.Kind);
        Assert.Equal(
            $"{Initramfs} was made for the kernel with build ID {new string('f', 40)}, and {Kernel} beside it has {Id}: take both from one 'make images', or put a kernel of your own into another folder",
            refused.Message);
        Assert.False(Directory.Exists(options.Folder));

        // One that lies elsewhere is the user's own.
        string own = Path.Combine(Directory.CreateDirectory(_folder.File("own")).FullName, "kernel");
        File.Copy(Kernel, own);
        KernelBuild.ThrowIfMixed(own, Initramfs);
        KernelBuild.ThrowIfMixed(Kernel, _folder.File("missing"));
        KernelBuild.ThrowIfMixed(null, null);
    }

    [Fact]
    public void Files_that_belong_together_and_files_that_say_nothing_are_taken()
    {
        byte[] told = Cpio($"0123456789abcdef\nkernel {Id}\n");
        (byte[] Kernel, byte[] Initramfs)[] pairs =
        [
            (Elf(Id), told), (Elf(Id), Cpio("0123456789abcdef\n")), (Elf(Id), Cpio("kernel not-a-number\n")), (Elf(Id), []), (Elf(Id), "\u001f\u008b packed"u8.ToArray()),
            ("MZ bzImage"u8.ToArray(), told), ([], told), (Elf(""), told),
        ];
        foreach ((byte[] kernel, byte[] initramfs) in pairs)
        {
            File.WriteAllBytes(Kernel, kernel);
            File.WriteAllBytes(Initramfs, initramfs);
            KernelBuild.ThrowIfMixed(Kernel, Initramfs);
        }

        File.WriteAllBytes(Kernel, Elf(Id));
        File.WriteAllBytes(Initramfs, told);
        Assert.Equal((Id, Id), (KernelBuild.IdOf(Kernel), KernelBuild.ExpectedBy(Initramfs)));
    }

    [Fact]
    public void Damaged_files_say_nothing()
    {
        byte[] kernel = Elf(Id);
        byte[] initramfs = Cpio($"kernel {Id}\n");
        for (int length = 0; length < kernel.Length; length++)
        {
            File.WriteAllBytes(Kernel, kernel.AsSpan(0, length));
            Assert.Null(KernelBuild.IdOf(Kernel));
        }

        for (int length = 0; length < initramfs.Length; length++)
        {
            File.WriteAllBytes(Initramfs, initramfs.AsSpan(0, length));
            Assert.True(KernelBuild.ExpectedBy(Initramfs) is null or Id);
        }

        // Whatever a byte becomes, what is read stays within the file.
        foreach (byte value in (byte[])[0, (byte)'0', (byte)'f', 0x7f, 0xff])
        {
            Change(kernel, Kernel, value, KernelBuild.IdOf);
            Change(initramfs, Initramfs, value, KernelBuild.ExpectedBy);
        }

        static void Change(byte[] content, string path, byte value, Func<string, string?> read)
        {
            for (int i = 0; i < content.Length; i++)
            {
                byte[] changed = [.. content];
                changed[i] = value;
                File.WriteAllBytes(path, changed);
                Assert.True(read(path) is null or { Length: <= 128 });
            }
        }
    }

    /// <summary>An ELF file with a segment of notes: another one, and the build ID unless it is empty.</summary>
    private static byte[] Elf(string id)
    {
        byte[] header = new byte[64 + 56];
        "\u007fELF\u0002\u0001\u0001"u8.CopyTo(header);
        byte[] notes = [.. Note("Linux\0", 0x100, [1, 2]), .. id.Length > 0 ? Note("GNU\0", 3, Convert.FromHexString(id)) : []];
        BinaryPrimitives.WriteUInt64LittleEndian(header.AsSpan(32), 64);
        BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(54), 56);
        BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(56), 1);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(64), 4);
        BinaryPrimitives.WriteUInt64LittleEndian(header.AsSpan(64 + 8), (ulong)header.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(header.AsSpan(64 + 32), (ulong)notes.Length);
        return [.. header, .. notes];
    }

    private static byte[] Note(string name, uint type, byte[] data)
    {
        byte[] header = new byte[12];
        BinaryPrimitives.WriteInt32LittleEndian(header, name.Length);
        BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(4), data.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(8), type);
        return [.. header, .. Padded(Encoding.ASCII.GetBytes(name)), .. Padded(data)];
    }

    /// <summary>The beginning of an archive as guest-images/ makes one: the version, and a program of which only the header is there.</summary>
    private static byte[] Cpio(string version) =>
    [
        .. Entry(".", []), .. Entry("dev", []), .. Entry("etc", []), .. Entry("etc/cnvm-version", Encoding.ASCII.GetBytes(version)), .. Entry("init", [], 3_000_000),
    ];

    private static byte[] Entry(string name, byte[] data, int? size = null)
    {
        int[] fields = [1, 0x81a4, 0, 0, 1, 0, size ?? data.Length, 0, 0, 0, 0, name.Length + 1, 0];
        string header = "070701" + string.Concat(fields.Select(f => f.ToString("X8", CultureInfo.InvariantCulture))) + name + "\0";
        return [.. Padded(Encoding.ASCII.GetBytes(header)), .. Padded(data)];
    }

    private static byte[] Padded(byte[] bytes) => [.. bytes, .. new byte[-bytes.Length & 3]];
}
