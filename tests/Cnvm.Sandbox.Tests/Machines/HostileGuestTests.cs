using Cnvm.Linux;
using Cnvm.Sandbox.Containers;
using Cnvm.Sandbox.Machine;

namespace Cnvm.Sandbox.Tests.Machines;

/// <summary>A guest can write to the folder that it shares with the host: links that it leaves there lead the host nowhere else.</summary>
public sealed class HostileGuestTests : IDisposable
{
    private readonly string _victim = Directory.CreateTempSubdirectory("cnvm-victim-").FullName;
    private readonly string _file;
    private readonly SandboxFolder _folder;

    public HostileGuestTests()
    {
        _file = Path.Combine(_victim, "0");
        File.WriteAllText(_file, "the host's");
        _folder = SandboxFolder.Create(Path.Combine(Path.GetTempPath(), "cnvm-h-" + Path.GetRandomFileName()));
    }

    public void Dispose()
    {
        _folder.Remove();
        Directory.Delete(_victim, recursive: true);
    }

    [Fact]
    public void What_a_guest_leaves_in_the_shared_folder_is_limited()
    {
        Assert.Equal(PrivateDirectory.UserId != 0, _folder.SharedIsReadOnly);
        if (_folder.SharedIsReadOnly)
        {
            return;
        }

        Assert.ThrowsAny<IOException>(() => File.WriteAllBytes(Path.Combine(_folder.Shared, "large"), new byte[2 << 20]));
        Assert.ThrowsAny<IOException>(() =>
        {
            for (int i = 0; i < 5000; i++)
            {
                Directory.CreateDirectory(Path.Combine(_folder.Shared, $"many{i}"));
            }
        });
        Assert.Throws<LinuxException>(() => Place().Claim());
        _folder.Remove();
        Assert.False(Directory.Exists(_folder.Path));
        Assert.Empty(MountTable.Below(_folder.Path));
    }

    [Fact]
    public void A_link_in_place_of_a_containers_folder_is_removed_and_nothing_behind_it()
    {
        ContainerPlace place = Place();
        place.Claim();
        Directory.Delete(Path.Combine(_folder.Shared, "c"));
        File.CreateSymbolicLink(Path.Combine(_folder.Shared, "c"), _victim);

        place.Remove();

        Assert.Equal("the host's", File.ReadAllText(_file));
        Assert.False(Path.Exists(Path.Combine(_folder.Shared, "c")));
        Assert.Null(new FileInfo(Path.Combine(_folder.Shared, "c")).LinkTarget);
    }

    [SkippableFact]
    public void A_link_in_the_way_of_a_volume_does_not_lead_it_out_of_the_shared_folder()
    {
        Skip.IfNot(PrivateDirectory.UserId == 0, "mounts need root");
        ContainerPlace place = Place();
        place.Claim();
        File.CreateSymbolicLink(Path.Combine(_folder.Shared, "c", "mounts"), _victim);
        string volume = Path.GetTempFileName();
        try
        {
            // Either it is refused, or the place is one within the folder.
            _ = Record.Exception(() => place.AddVolume(new ContainerVolume(volume, "/v", false), []));

            Assert.Equal("the host's", File.ReadAllText(_file));
            Assert.Empty(MountTable.Below(_victim));
            Assert.Equal([_file], Directory.GetFileSystemEntries(_victim));
        }
        finally
        {
            place.Remove();
            File.Delete(volume);
        }

        Assert.Empty(MountTable.Below(_folder.Shared));
        Assert.Equal("the host's", File.ReadAllText(_file));
    }

    [SkippableFact]
    public void A_volume_is_mounted_as_it_was_asked_for_and_taken_away_again()
    {
        Skip.IfNot(PrivateDirectory.UserId == 0, "mounts need root");
        ContainerPlace place = Place();
        place.Claim();
        _ = place.AddVolume(new ContainerVolume(_victim, "/v", true), []);
        string there = Path.Combine(_folder.Shared, "c", "mounts", "0");
        Assert.Equal("the host's", File.ReadAllText(Path.Combine(there, "0")));
        Assert.Throws<IOException>(() => File.WriteAllText(Path.Combine(there, "0"), "the guest's"));

        place.Remove();

        Assert.Empty(MountTable.Below(_folder.Shared));
        Assert.Equal("the host's", File.ReadAllText(_file));
    }

    private ContainerPlace Place() => new(new SandboxOptions(), _folder, "c");
}
