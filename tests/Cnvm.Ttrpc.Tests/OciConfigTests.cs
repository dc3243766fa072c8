using System.Text;
using Cnvm.Agent.Protocol;
using Cnvm.Fuzz;

namespace Cnvm.Ttrpc.Tests;

/// <summary>OCI configurations as messages.</summary>
public sealed class OciConfigTests
{
    private static readonly byte[] Typical = File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "config.json"));

    [Fact]
    public void A_configuration_with_many_features_is_read_whole()
    {
        Spec spec = OciConfig.ReadSpec(Typical);
        Assert.Equal(("1.1.0", "box"), (spec.Version, spec.Hostname));
        Assert.Equal(("rootfs", true), (spec.Root!.Path, spec.Root.Readonly));
        Assert.Equal("sandbox", spec.Annotations["io.kubernetes.cri.container-type"]);
        Assert.Equal("", spec.Annotations["empty"]);
        Assert.Equal(["/proc", "/data", "/sys/fs/cgroup"], spec.Mounts.Select(m => m.Destination));
        Assert.Equal(("bind", "/srv/data"), (spec.Mounts[1].Type, spec.Mounts[1].Source));
        Assert.Equal(["rbind", "ro"], spec.Mounts[1].Options);
        Assert.Empty(spec.Mounts[2].Options);

        Hooks hooks = spec.Hooks!;
        Assert.Equal(["/bin/a", "/bin/c", "/bin/d", "/bin/e", "/bin/f", "/bin/g", "/bin/h"],
            new[] { hooks.Prestart, hooks.CreateRuntime, hooks.CreateContainer, hooks.StartContainer, hooks.Poststart, hooks.Poststop }.SelectMany(h => h).Select(h => h.Path));
        Assert.Equal(5, hooks.Prestart[0].Timeout);
        Assert.Equal(["a", "b"], hooks.Prestart[0].Args);
        Assert.Equal(["K=V"], hooks.Prestart[0].Env);
    }

    [Fact]
    public void A_process_is_read_whole()
    {
        Process process = OciConfig.ReadSpec(Typical).Process!;
        Assert.True(process.Terminal);
        Assert.Equal(new Box { Height = 24, Width = 80 }, process.ConsoleSize);
        Assert.Equal((1000u, 100u, "containeruser"), (process.User!.Uid, process.User.Gid, process.User.Username));
        Assert.Equal([10u, uint.MaxValue], process.User.AdditionalGids);
        Assert.Equal(["/bin/sh", "-c", "echo \"hi\" ☃ 😀", ""], process.Args);
        Assert.Equal(3, process.Env.Count);
        Assert.Equal("/work", process.Cwd);
        Assert.Equal(["CAP_CHOWN", "CAP_KILL"], process.Capabilities!.Bounding);
        Assert.Equal(["CAP_CHOWN"], process.Capabilities.Effective);
        Assert.Equal(["CAP_CHOWN", "CAP_KILL"], process.Capabilities.Permitted);
        Assert.Empty(process.Capabilities.Inheritable);
        Assert.Empty(process.Capabilities.Ambient);
        Assert.Equal([new POSIXRlimit { Type = "RLIMIT_NOFILE", Hard = 1024, Soft = 512 }, new POSIXRlimit { Type = "RLIMIT_CORE", Hard = ulong.MaxValue }], process.Rlimits);
        Assert.True(process.NoNewPrivileges);
        Assert.Equal(("cri-containerd.apparmor.d", -998L, "system_u:system_r:container_t:s0"), (process.ApparmorProfile, process.OomScoreAdj, process.SelinuxLabel));
    }

    [Fact]
    public void The_part_for_linux_is_read_whole()
    {
        OciLinux linux = OciConfig.ReadSpec(Typical).Linux!;
        Assert.Equal([new LinuxIDMapping { HostId = 100000, Size = 65536 }], linux.UidMappings);
        Assert.Equal([new LinuxIDMapping { HostId = 200000, Size = 65536 }], linux.GidMappings);
        Assert.Equal("1", linux.Sysctl["net.ipv4.ip_forward"]);
        Assert.Equal("/default/t1", linux.CgroupsPath);
        Assert.Equal([new LinuxNamespace { Type = "pid" }, new LinuxNamespace { Type = "network", Path = "/var/run/netns/a" }], linux.Namespaces);
        Assert.Equal([new LinuxDevice { Path = "/dev/fuse", Type = "c", Major = 10, Minor = 229, FileMode = 0x1B6, Uid = 1, Gid = 2 }], linux.Devices);
        Assert.Equal(("slave", "system_u:object_r:container_file_t:s0", "L3:0=f"), (linux.RootfsPropagation, linux.MountLabel, linux.IntelRdt!.L3CacheSchema));
        Assert.Equal(["/proc/kcore"], linux.MaskedPaths);
        Assert.Equal(["/proc/sys"], linux.ReadonlyPaths);

        LinuxSeccomp seccomp = linux.Seccomp!;
        Assert.Equal("SCMP_ACT_ERRNO", seccomp.DefaultAction);
        Assert.Equal(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"], seccomp.Architectures);
        Assert.Equal(["SECCOMP_FILTER_FLAG_LOG"], seccomp.Flags);
        Assert.Equal(["read", "write"], seccomp.Syscalls[0].Names);
        Assert.Null(seccomp.Syscalls[0].Errnoret);
        Assert.Equal(0u, seccomp.Syscalls[1].Errnoret);
        Assert.Equal([new LinuxSeccompArg { Value = ulong.MaxValue, ValueTwo = 8, Op = "SCMP_CMP_MASKED_EQ" }], seccomp.Syscalls[1].Args);
    }

    [Fact]
    public void Limits_are_read_whole()
    {
        LinuxResources limits = OciConfig.ReadSpec(Typical).Linux!.Resources!;
        Assert.Equal(
            [
                new LinuxDeviceCgroup { Major = -1, Minor = -1, Access = "rwm" },
                new LinuxDeviceCgroup { Allow = true, Type = "c", Major = 1, Minor = 3, Access = "rwm" },
                new LinuxDeviceCgroup { Allow = true, Type = "c", Major = 136, Minor = -1, Access = "rw" },
            ], limits.Devices);
        Assert.Equal(new LinuxMemory { Limit = 536870912, Reservation = 268435456, Swap = -1, Kernel = 1, KernelTcp = 2, Swappiness = 60, DisableOomKiller = true }, limits.Memory);
        Assert.Equal(
            new LinuxCPU { Shares = 1024, Quota = -1, Period = 100000, RealtimeRuntime = 950000, RealtimePeriod = 1000000, Cpus = "0-1,3", Mems = "0" }, limits.Cpu);
        Assert.Equal(4194304, limits.Pids!.Limit);
        LinuxBlockIO disks = limits.BlockIo!;
        Assert.Equal((500u, 300u), (disks.Weight, disks.LeafWeight));
        Assert.Equal([new LinuxWeightDevice { Major = 8, Minor = 16, Weight = 500, LeafWeight = 400 }], disks.WeightDevice);
        Assert.Equal([new LinuxThrottleDevice { Major = 8, Rate = 1048576 }], disks.ThrottleReadBpsDevice);
        Assert.Equal([new LinuxThrottleDevice { Major = 8, Minor = 1, Rate = 2097152 }], disks.ThrottleWriteBpsDevice);
        Assert.Equal([new LinuxThrottleDevice { Major = 8, Minor = 2, Rate = 300 }], disks.ThrottleReadIopsDevice);
        Assert.Equal([new LinuxThrottleDevice { Major = 8, Minor = 3, Rate = 400 }], disks.ThrottleWriteIopsDevice);
        Assert.Equal([new LinuxHugepageLimit { Pagesize = "2MB", Limit = 4194304 }], limits.HugepageLimits);
        Assert.Equal(1048577u, limits.Network!.ClassId);
        Assert.Equal([new LinuxInterfacePriority { Name = "eth0", Priority = 500 }], limits.Network.Priorities);
    }

    [Fact]
    public void A_configuration_goes_over_the_wire_and_back()
    {
        byte[] bytes = ProtoWriter.ToBytes(OciConfig.ReadSpec(Typical));
        Assert.Equal(bytes, ProtoWriter.ToBytes(Spec.Read(bytes)));
        Assert.True(bytes.Length > 1000);
    }

    [Fact]
    public void Little_is_enough()
    {
        Spec spec = OciConfig.ReadSpec("{}"u8.ToArray());
        Assert.Null(spec.Process);
        Assert.Null(spec.Linux);
        Process process = OciConfig.ReadProcess("""{"args":["a"],"cwd":"/","user":null,"env":null}"""u8.ToArray());
        Assert.Equal(["a"], process.Args);
        Assert.Equal(0u, process.User!.Uid);
        Assert.Null(process.Capabilities);
        Assert.Equal(7, OciConfig.ReadResources("""{"pids":{"limit":7}}"""u8.ToArray()).Pids!.Limit);
    }

    [Theory]
    [InlineData("""[]""", "configuration: an object belongs here, and it is a list")]
    [InlineData("""{"process":[]}""", "process: an object belongs here, and it is a list")]
    [InlineData("""{"process":{"args":"sh"}}""", "process.args: a list belongs here, and it is text")]
    [InlineData("""{"process":{"args":["a",null]}}""", "process.args[1]: text belongs here, and it is null")]
    [InlineData("""{"process":{"args":["a",["b"]]}}""", "process.args[1]: text belongs here, and it is a list")]
    [InlineData("""{"process":{"args":["a\u0000b"]}}""", "process.args[0]: text with a NUL character in it")]
    [InlineData("""{"process":{"cwd":"\ud800"}}""", "process.cwd: text that is not Unicode")]
    [InlineData("""{"process":{"terminal":1}}""", "process.terminal: true or false belongs here, and it is 1")]
    [InlineData("""{"process":{"user":{"uid":-1}}}""", "process.user.uid: a whole number from 0 to 4294967295 belongs here, and it is -1")]
    [InlineData("""{"process":{"user":{"uid":4294967296}}}""", "process.user.uid: a whole number from 0 to 4294967295 belongs here, and it is 4294967296")]
    [InlineData("""{"process":{"user":{"additionalGids":[1,1.5]}}}""", "process.user.additionalGids[1]: a whole number from 0 to 4294967295 belongs here, and it is 1.5")]
    [InlineData("""{"process":{"rlimits":[{"hard":18446744073709551616}]}}""",
        "process.rlimits[0].hard: a whole number of 64 bits without sign belongs here, and it is 18446744073709551616")]
    [InlineData("""{"process":{"oomScoreAdj":"1"}}""", "process.oomScoreAdj: a whole number of 64 bits with sign belongs here, and it is text")]
    [InlineData("""{"annotations":{"a":1}}""", "annotations[\"a\"]: text belongs here, and it is 1")]
    [InlineData("""{"annotations":{"a\u0000":"1"}}""", "annotations: text with a NUL character in it")]
    [InlineData("""{"annotations":{"\ud800":"1"}}""", "annotations: a name in it is not Unicode")]
    [InlineData("""{"linux":{"namespaces":[{"type":"pid"},"net"]}}""", "linux.namespaces[1]: an object belongs here, and it is text")]
    [InlineData("""{"linux":{"resources":{"memory":{"limit":1e30}}}}""", "linux.resources.memory.limit: a whole number of 64 bits with sign belongs here, and it is 1e30")]
    [InlineData("""{"linux":{"seccomp":{"syscalls":[{"args":[{"index":{}}]}]}}}""",
        "linux.seccomp.syscalls[0].args[0].index: a whole number of 64 bits without sign belongs here, and it is an object")]
    public void Wrong_types_are_refused_with_their_path(string json, string message) =>
        Assert.Equal(message, Assert.Throws<OciConfigException>(() => OciConfig.ReadSpec(Encoding.UTF8.GetBytes(json))).Message);

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("""{"process":}""")]
    [InlineData("""{} {}""")]
    [InlineData("""{/* comment */}""")]
    public void What_is_no_json_is_refused(string json) =>
        Assert.StartsWith("configuration: no JSON: ", Assert.Throws<OciConfigException>(() => OciConfig.ReadSpec(Encoding.UTF8.GetBytes(json))).Message, StringComparison.Ordinal);

    [Fact]
    public void Size_and_depth_are_bounded()
    {
        Assert.Contains("4194305 bytes", Assert.Throws<OciConfigException>(() => OciConfig.ReadSpec(new byte[OciConfig.MaxBytes + 1])).Message, StringComparison.Ordinal);
        string deep = string.Concat(Enumerable.Repeat("{\"x\":", 1000)) + "1" + new string('}', 1000);
        Assert.StartsWith("configuration: no JSON: ", Assert.Throws<OciConfigException>(() => OciConfig.ReadSpec(Encoding.UTF8.GetBytes(deep))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Bytes_that_are_not_utf8_are_refused()
    {
        byte[] json = [.. "{\"hostname\":\""u8, 0xFF, .. "\"}"u8];
        Assert.Throws<OciConfigException>(() => OciConfig.ReadSpec(json));
        json = [.. "{\"annotations\":{\""u8, 0xFF, .. "\":\"a\"}}"u8];
        Assert.Throws<OciConfigException>(() => OciConfig.ReadSpec(json));
    }

    [Fact]
    public void Damaged_configurations_are_read_or_refused_and_nothing_else()
    {
        int refused = 0;
        int runs = SeededRuns.Repeat(3000, seed =>
        {
            var random = new Random(seed);
            byte[] json = seed % 2 == 0 ? DamagedJson.Make(Typical, random) : (byte[])Typical.Clone();
            for (int n = seed % 2 == 0 ? 0 : random.Next(1, 4); n > 0; n--)
            {
                json[random.Next(json.Length)] = (byte)(random.Next(3) == 0 ? random.Next(256) : " \"{}[],:0-\\"[random.Next(11)]);
            }
            try
            {
                OciConfig.ReadSpec(json);
            }
            catch (OciConfigException)
            {
                refused++;
            }
        });
        Assert.InRange(refused, runs / 6, runs - 1);
    }
}
