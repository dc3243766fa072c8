using Cnvm.Agent.Protocol;
using Cnvm.GuestAgent.Containers;
using Cnvm.GuestAgent.Spec;
using Cnvm.GuestAgent.Stage;
using Cnvm.GuestAgent.Storages;
using Cnvm.Linux;
using Cnvm.Ttrpc;

namespace Cnvm.Agent.Tests;

/// <summary>What becomes of specifications, without running them.</summary>
public sealed class SpecTests
{
    [Fact]
    public void Mount_options_are_sorted()
    {
        MountWords options = MountOptions.Parse(["ro", "nosuid,nodev", "rbind", "rslave", "size=64k", "mode=1777", "rw", "tmpcopyup"]);
        Assert.Equal(Mounts.MS_NOSUID | Mounts.MS_NODEV | Mounts.MS_BIND | Mounts.MS_REC, options.Flags);
        Assert.Equal(Mounts.MS_SLAVE | Mounts.MS_REC, options.Propagation);
        Assert.Equal("size=64k,mode=1777", options.Data);
    }

    [Fact]
    public void Capabilities_have_their_numbers()
    {
        Assert.Equal(1UL | (1UL << 21) | (1UL << 40), CapabilityNames.Bits(["CAP_CHOWN", "SYS_ADMIN", "CAP_CHECKPOINT_RESTORE", "CAP_OF_THE_FUTURE"]));
        Assert.Equal(7, LimitNames.NumberOf("RLIMIT_NOFILE"));
        Assert.Null(LimitNames.NumberOf("NOFILE"));
    }

    [Fact]
    public void Plans_survive_the_way_to_the_stage()
    {
        StagePlan plan = SpecReader.Container(new Spec
        {
            Root = new Root { Path = "/r", Readonly = true },
            Hostname = "h",
            Process = new Process
            {
                Args = ["a", "b"], Env = ["X=Y"], Cwd = "/w", Terminal = true, ConsoleSize = new Box { Height = 1, Width = 2 }, OomScoreAdj = -5,
                User = new User { Uid = 1, Gid = 2, AdditionalGids = [3, 4], Username = "n" },
                Capabilities = new LinuxCapabilities { Bounding = ["CAP_KILL"] },
                Rlimits = [new POSIXRlimit { Type = "RLIMIT_CORE", Soft = 5, Hard = 6 }],
            },
            Mounts = [new Mount { Destination = "/m", Source = "/s", Type = "bind", Options = ["ro", "rshared"] }, new Mount { Destination = "/c", Type = "cgroup" }],
            Linux = new OciLinux
            {
                Sysctl = new Dictionary<string, string> { ["net.ipv4.ip_forward"] = "1" },
                Devices = [new LinuxDevice { Path = "/dev/null", Type = "c", Major = 9, Minor = 8, FileMode = 0x180 }],
                MaskedPaths = ["/x"], ReadonlyPaths = ["/y"], RootfsPropagation = "rslave",
                Seccomp = new LinuxSeccomp { DefaultAction = "SCMP_ACT_ALLOW" },
            },
        });
        byte[] bytes = StagePlanFormat.Write(plan);
        StagePlan read = StagePlanFormat.Read(bytes);
        Assert.Equal(bytes, StagePlanFormat.Write(read));
        Assert.Equal("/r", read.RootPath);
        Assert.Equal(["X=Y", "TERM=xterm"], read.Environment);
        Assert.Equal([("net/ipv4/ip_forward", "1")], read.Sysctls);
        Assert.Equal(new PlannedMount("cgroup", "/c", "cgroup2", 0, 0, ""), read.Mounts[1]);
        Assert.Equal(9U, Assert.Single(read.Devices, d => d.Path == "/dev/null").Major);
        Assert.Equal(6, read.Devices.Count);
        Assert.Equal(-5, read.OomScoreAdjustment);
        Assert.NotEmpty(read.SeccompFilter);
    }

    [Theory]
    [InlineData("anna", 10, 20, "30", "/home/anna")]
    [InlineData("10", 10, 20, "30", "/home/anna")]
    [InlineData("anna:music", 10, 30, "", "/home/anna")]
    [InlineData("77:88", 77, 88, "", "/")]
    public void Users_are_looked_up(string name, uint user, uint group, string groups, string home)
    {
        UserEntry entry = UserDatabase.Resolve(
            new StagePlan { UserName = name }, ["broken", "anna:x:10:20:Anna:/home/anna:/bin/sh"], ["anna:x:20:", "music:x:30:bert,anna", "broken"]);
        Assert.Equal((user, group, groups, home), (entry.UserId, entry.GroupId, string.Join(',', entry.Groups), entry.Home));
    }

    [Theory]
    [InlineData("a")]
    [InlineData("0123456789abcdef_.-")]
    public void Names_are_names(string name) => Names.Check(name, "container");

    [Fact]
    public void Names_that_are_too_long_are_none()
    {
        Names.Check(new string('a', 128), "container");
        Assert.Equal(TtrpcCode.InvalidArgument, Assert.Throws<TtrpcException>(() => Names.Check(new string('a', 129), "container")).Code);
    }

    [Fact]
    public void Copies_come_in_parts_and_follow_no_links()
    {
        string folder = Directory.CreateTempSubdirectory("cnvm-copy-").FullName;
        try
        {
            var shared = new SharedFolder(folder + "/s");
            string outside = Directory.CreateDirectory(folder + "/outside").FullName;
            shared.Write($"{folder}/s/a/f", 6, 0x1a4, 0, 0, 0, 0, "abc"u8);
            Assert.False(File.Exists($"{folder}/s/a/f"));
            shared.Write($"{folder}/s/a/f", 6, 0x1a4, 0, 0, 0, 3, "def"u8);
            Assert.Equal("abcdef", File.ReadAllText($"{folder}/s/a/f"));
            shared.Write($"{folder}/s/link", 0, 0xa000, 0, 0, 0, 0, System.Text.Encoding.UTF8.GetBytes(outside));
            Assert.Equal(outside, new FileInfo($"{folder}/s/link").LinkTarget);
            Assert.ThrowsAny<IOException>(() => shared.Write($"{folder}/s/link/x", 1, 0x1a4, 0, 0, 0, 0, "x"u8));
            Assert.Empty(Directory.GetFileSystemEntries(outside));
            Assert.Throws<StageException>(() => shared.Write($"{folder}/s/f", 2, 0x1a4, 0, 0, 0, 1, "xx"u8));
            Assert.Throws<StageException>(() => shared.Write($"{folder}/s/dev", 0, 0x2000, 0, 0, 0, 0, default));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
