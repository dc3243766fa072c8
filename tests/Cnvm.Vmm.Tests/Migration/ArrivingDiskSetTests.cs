using Cnvm.Linux;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Migration;
using Cnvm.Vmm.Requests;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>Files that disks arrive in.</summary>
public sealed class ArrivingDiskSetTests : IDisposable
{
    private const ulong Size = 1 << 20;
    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-disks-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_file_has_another_name_until_it_is_put_in_place()
    {
        using (ArrivingDiskSet set = Create(At("a"), At("b")))
        {
            Assert.Equal([At("a"), At("b")], set.Config.Disks!.Select(d => d.Path));
            Assert.Equal(set.Arriving.Disks!.Select(d => d.Path!).Order(), Directory.GetFiles(_folder).Order());
            Assert.All(Directory.GetFiles(_folder), f => Assert.Matches(@"/[ab]\.arriving-[0-9a-f]{12}$", f));
            set.Disks[1].Write(0, "hello"u8);
            set.PutInPlace();
            set.Keep();
        }

        Assert.Equal([At("a"), At("b")], Directory.GetFiles(_folder).Order());
        Assert.Equal((long)Size, new FileInfo(At("b")).Length);
        Assert.StartsWith("hello", File.ReadAllText(At("b")), StringComparison.Ordinal);
    }

    [Fact]
    public void Nothing_is_left_of_those_that_do_not_arrive()
    {
        Create(At("a"), At("b")).Dispose();
        Assert.Empty(Directory.GetFiles(_folder));
        using (ArrivingDiskSet set = Create(At("a")))
        {
            set.PutInPlace();
        }

        Assert.Empty(Directory.GetFiles(_folder));
    }

    [Fact]
    public void All_obstacles_are_named()
    {
        File.WriteAllText(At("full"), "x");
        File.WriteAllText(At("empty"), "");
        File.CreateSymbolicLink(At("link"), At("elsewhere"));
        MigrationException e = Assert.Throws<MigrationException>(
            () => Create(At("full"), At("link"), At("none/disk"), _folder, "/dev/null", At("twice"), At("twice"), At("empty")));
        Assert.Contains("disk d0: ", e.Message, StringComparison.Ordinal);
        Assert.Contains("is there already, with 1 bytes", e.Message, StringComparison.Ordinal);
        Assert.Contains("disk d1: ", e.Message, StringComparison.Ordinal);
        Assert.Contains("is a symbolic link", e.Message, StringComparison.Ordinal);
        Assert.Contains($"disk d2: there is no directory {At("none")}", e.Message, StringComparison.Ordinal);
        Assert.Contains($"disk d3: {_folder} is a directory", e.Message, StringComparison.Ordinal);
        Assert.Contains("disk d4: /dev/null is no regular file", e.Message, StringComparison.Ordinal);
        Assert.Contains("disks d5 and d6 would both be", e.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("d7", e.Message, StringComparison.Ordinal);
        Assert.Equal(3, Directory.GetFileSystemEntries(_folder).Length);
    }

    [Fact]
    public void A_disk_larger_than_the_file_system_is_named_and_leaves_nothing()
    {
        var huge = new DiskOffers([new DiskOffer("d0", Size, 0, 512), new DiskOffer("d1", DiskOffer.MostBytes, 1UL << 45, 512)]);
        MigrationException e = Assert.Throws<MigrationException>(
            () => ArrivingDiskSet.Create(ConfigOf(At("a"), At("b")), huge, [], problem => Assert.Fail(problem)));
        Assert.Contains("33554432 MiB of data", e.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(_folder));
    }

    [Fact]
    public void A_file_in_use_is_not_replaced()
    {
        File.WriteAllText(At("a"), "in use");
        using var user = new DiskFile(At("a"), readOnly: false, direct: false);
        Assert.True(user.TryLock(exclusive: true, 0));
        MigrationException e = Assert.Throws<MigrationException>(() => ArrivingDiskSet.Create(
            ConfigOf(At("a")), new DiskOffers([new DiskOffer("d0", Size, 0, 512)]), [new DiskPlacement("d0", At("a"), Overwrite: true)], Assert.Fail));
        Assert.Contains("is in use by another process", e.Message, StringComparison.Ordinal);
    }

    /// <summary>A source could otherwise have this host open the files that such an image names.</summary>
    [Fact]
    public void What_nobody_calls_raw_must_not_look_like_another_format()
    {
        using ArrivingDiskSet set = Create(At("a"));
        set.ThrowIfNotRaw();
        set.Disks[0].Write(0, [(byte)'Q', (byte)'F', (byte)'I', 0xfb, 0, 0, 0, 3]);
        Assert.Contains("looks like an image of another format", Assert.Throws<MigrationException>(set.ThrowIfNotRaw).Message, StringComparison.Ordinal);
        using ArrivingDiskSet raw = ArrivingDiskSet.Create(
            new VmConfig { Disks = [new DiskConfig { Id = "d0", Path = At("b"), ImageType = ImageType.Raw }] },
            new DiskOffers([new DiskOffer("d0", Size, 0, 512)]),
            [],
            Assert.Fail);
        raw.Disks[0].Write(0, [(byte)'Q', (byte)'F', (byte)'I', 0xfb, 0, 0, 0, 3]);
        raw.ThrowIfNotRaw();
    }

    [Fact]
    public void What_is_offered_must_be_what_is_configured()
    {
        VmConfig config = ConfigOf(At("a"));
        Assert.Throws<MigrationException>(() => ArrivingDiskSet.Create(config, new DiskOffers([]), [], Assert.Fail));
        Assert.Throws<MigrationException>(() => ArrivingDiskSet.Create(config, new DiskOffers([new DiskOffer("x", Size, 0, 512)]), [], Assert.Fail));
        VmConfig layered = new() { Disks = [new DiskConfig { Id = "d0", Path = At("a"), ImageType = ImageType.Qcow2 }] };
        MigrationException e = Assert.Throws<MigrationException>(
            () => ArrivingDiskSet.Create(layered, new DiskOffers([new DiskOffer("d0", Size, 0, 512)]), [], Assert.Fail));
        Assert.Contains("arrives as a raw image", e.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(_folder));
    }

    [Fact]
    public void Placements_are_of_disks_that_there_are()
    {
        VmConfig config = ConfigOf("/one", "/two");
        Assert.Equal(["/one", "/other"], ArrivingDiskSet.Place(config, [new("d1", "/other")], areMoving: false).Disks!.Select(d => d.Path));
        Assert.Contains("no disk d2", Assert.Throws<MigrationException>(() => ArrivingDiskSet.Place(config, [new("d2", "/x")], true)).Message, StringComparison.Ordinal);
        Assert.Contains(
            "does not bring", Assert.Throws<MigrationException>(() => ArrivingDiskSet.Place(config, [new("d1", "/x", true)], false)).Message, StringComparison.Ordinal);
        VmConfig foreign = config with { Disks = [.. config.Disks!, new DiskConfig(null) { Id = "d9", VhostUser = true, VhostSocket = "/s" }] };
        Assert.Contains("d9", Assert.Throws<MigrationException>(() => ArrivingDiskSet.Place(foreign, [], true)).Message, StringComparison.Ordinal);
        Assert.Equal(foreign.Disks!.Count, ArrivingDiskSet.Place(foreign, [], false).Disks!.Count);
    }

    private static VmConfig ConfigOf(params string[] paths) =>
        new() { Disks = [.. paths.Select((p, i) => new DiskConfig { Id = $"d{i}", Path = p })] };

    private static ArrivingDiskSet Create(params string[] paths) => ArrivingDiskSet.Create(
        ConfigOf(paths), new DiskOffers([.. paths.Select((_, i) => new DiskOffer($"d{i}", Size, 0, 512))]), [], Assert.Fail);

    private string At(string name) => Path.Combine(_folder, name);
}
