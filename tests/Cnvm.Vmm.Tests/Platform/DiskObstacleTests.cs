using System.Buffers.Binary;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Linux;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Platform;
using static Cnvm.Vmm.Tests.Snapshot.SnapshotService;

namespace Cnvm.Vmm.Tests.Platform;

/// <summary>Disks that a guest knows already, looked at before anybody takes them.</summary>
public sealed class DiskObstacleTests : IDisposable
{
    private const ulong Sectors = 8192;

    /// <summary>Where a VHDX image has its two headers.</summary>
    private static readonly int[] VhdxHeaders = [64 << 10, 128 << 10];

    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-disks-").FullName;

    private string Image => Path.Combine(_folder, "image");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    /// <summary>Of its size it may be taken, of another it may not, and what it is is found out or said.</summary>
    [SkippableTheory]
    [InlineData("raw", ImageType.Unknown)]
    [InlineData("raw", ImageType.Raw)]
    [InlineData("qcow2", ImageType.Unknown)]
    [InlineData("qcow2", ImageType.Qcow2)]
    [InlineData("vpc -o subformat=fixed,force_size=on", ImageType.FixedVhd)]
    [InlineData("vpc -o subformat=dynamic,force_size=on", ImageType.Unknown)]
    [InlineData("vhdx", ImageType.Vhdx)]
    public void An_image_is_told_from_one_of_another_size(string format, ImageType type)
    {
        Make(format);
        byte[] before = File.ReadAllBytes(Image);
        var disk = new DiskConfig(Image, Id: "d", ImageType: type);
        Assert.Null(DeviceFactory.DiskObstacle(disk, Sectors));
        Assert.Null(DeviceFactory.DiskObstacle(disk with { Readonly = true }, Sectors));
        Assert.StartsWith($"disk {Image}: the disk had 8193 sectors and has 8192 now", DeviceFactory.DiskObstacle(disk, Sectors + 1), StringComparison.Ordinal);
        Assert.Equal(before, File.ReadAllBytes(Image));
    }

    /// <summary>Its log may have more to say of its size than is seen; who may not write the image has only what is seen.</summary>
    [SkippableFact]
    public void A_vhdx_image_that_was_not_closed_is_not_judged_by_its_size()
    {
        Make("vhdx");
        foreach (int header in VhdxHeaders)
        {
            SetVhdxLog(header);
        }

        byte[] before = File.ReadAllBytes(Image);
        var disk = new DiskConfig(Image, Id: "d", ImageType: ImageType.Vhdx);
        Assert.Null(DeviceFactory.DiskObstacle(disk, Sectors + 1));
        Assert.Contains("had 8193 sectors and has 8192", DeviceFactory.DiskObstacle(disk with { Readonly = true }, Sectors + 1), StringComparison.Ordinal);
        Assert.Equal(before, File.ReadAllBytes(Image));
        foreach (int header in VhdxHeaders)
        {
            Poke(header + 8, 0xff);
        }

        Assert.Contains("has no valid header", DeviceFactory.DiskObstacle(disk, Sectors), StringComparison.Ordinal);
    }

    [SkippableFact]
    public void Another_format_than_is_said_is_named()
    {
        Make("qcow2");
        Assert.Equal(
            $"disk {Image} is a qcow2 image, and image_type says a VHDX image", DeviceFactory.DiskObstacle(new DiskConfig(Image, ImageType: ImageType.Vhdx), Sectors));
    }

    /// <summary>A damaged image may be read.</summary>
    [SkippableFact]
    public void An_image_that_is_marked_as_damaged_is_named_if_it_is_to_be_written()
    {
        Make("qcow2");
        Poke(79, 2); // incompatible features
        Assert.Contains("is marked as damaged", DeviceFactory.DiskObstacle(new DiskConfig(Image), Sectors), StringComparison.Ordinal);
        Assert.Null(DeviceFactory.DiskObstacle(new DiskConfig(Image, Readonly: true), Sectors));
    }

    /// <summary>Where its tables lie, and how large they are, is the file's to say, and nobody's to believe.</summary>
    [SkippableTheory]
    [InlineData(23, 30)] // cluster bits
    [InlineData(36, 0x7f)] // L1 entries
    [InlineData(24, 0x7f)] // size
    [InlineData(40, 0x7f)] // where the L1 table is
    public void A_hostile_header_is_an_obstacle(int at, int value)
    {
        Make("qcow2");
        Poke(at, (byte)value);
        Assert.StartsWith($"disk {Image}: the qcow2 image ", DeviceFactory.DiskObstacle(new DiskConfig(Image), Sectors), StringComparison.Ordinal);
    }

    [SkippableFact]
    public void What_an_image_builds_on_is_looked_at_too()
    {
        Make("raw");
        string front = Path.Combine(_folder, "front");
        Run("qemu-img", "create", "-q", "-f", "qcow2", "-b", Image, "-F", "raw", front);
        var disk = new DiskConfig(front, BackingFiles: true);
        Assert.Null(DeviceFactory.DiskObstacle(disk, Sectors));
        Assert.Contains("backing_files=on allows that", DeviceFactory.DiskObstacle(disk with { BackingFiles = false }, Sectors), StringComparison.Ordinal);
        File.Delete(Image);
        Assert.Contains($"disk {Image} cannot be opened (no such file)", DeviceFactory.DiskObstacle(disk, Sectors), StringComparison.Ordinal);
    }

    /// <summary>Who only reads shares it with those who only read.</summary>
    [Fact]
    public void A_disk_in_use_is_named_with_who_has_it_and_stays_theirs()
    {
        File.WriteAllBytes(Image, new byte[Sectors * 512]);
        var disk = new DiskConfig(Image, ImageType: ImageType.Raw);
        using (var other = new DiskFile(Image, readOnly: true, direct: false))
        {
            Assert.True(other.TryLock(exclusive: false, 0));
            Assert.Contains("is in use by another disk or process (process ", DeviceFactory.DiskObstacle(disk, Sectors), StringComparison.Ordinal);
            Assert.Null(DeviceFactory.DiskObstacle(disk with { Readonly = true }, Sectors));
        }

        using var writer = new DiskFile(Image, readOnly: false, direct: false);
        Assert.True(writer.TryLock(exclusive: true, 0));
        Assert.Contains("is in use", DeviceFactory.DiskObstacle(disk with { Readonly = true }, Sectors), StringComparison.Ordinal);
        writer.Unlock();
        Assert.Null(DeviceFactory.DiskObstacle(disk, Sectors));
        Assert.True(writer.TryLock(exclusive: true, 0));
    }

    [Fact]
    public void What_is_no_disk_is_named()
    {
        Assert.Contains($"{Image} cannot be opened (no such file)", DeviceFactory.DiskObstacle(new DiskConfig(Image), Sectors), StringComparison.Ordinal);
        Assert.Contains(
            "is neither a regular file nor a block device", DeviceFactory.DiskObstacle(new DiskConfig(_folder, Readonly: true), Sectors), StringComparison.Ordinal);
    }

    private void Make(string format)
    {
        Skip.IfNot(File.Exists("/usr/bin/qemu-img"), "there is no qemu-img here (Debian: qemu-utils)");
        Run("qemu-img", ["create", "-q", "-f", .. format.Split(' '), Image, $"{Sectors * 512}"]);
    }

    /// <summary>Gives the log in a header an identifier, as one has that may hold entries, and the header its checksum (MS-VHDX 2.2.2).</summary>
    private void SetVhdxLog(int at)
    {
        byte[] header = new byte[4096];
        using FileStream file = File.Open(Image, FileMode.Open);
        file.Position = at;
        file.ReadExactly(header);
        Assert.Equal("head"u8.ToArray(), header[..4]);
        header.AsSpan(48, 16).Fill(7);
        header.AsSpan(4, 4).Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(4), Crc32C.Of(header));
        file.Position = at;
        file.Write(header);
    }

    private void Poke(int at, byte value)
    {
        using FileStream file = File.OpenWrite(Image);
        file.Position = at;
        file.WriteByte(value);
    }
}
