using Cnvm.Agent.Protocol;

namespace Cnvm.Ttrpc.Tests;

/// <summary>The agent's messages are Kata's on the wire: bytes made by hand from the field numbers of its protocol.</summary>
public sealed class AgentMessageTests
{
    [Fact]
    public void A_sandbox_begins() => AssertBytes(
        new CreateSandboxRequest
        {
            Hostname = "h",
            Dns = ["d", "e"],
            Storages = [new Storage { Driver = "virtio-fs", Source = "kataShared", Fstype = "virtiofs", Options = ["ro"], MountPoint = "/m", DriverOptions = ["x"] }],
            SandboxPidns = true,
            SandboxId = "s",
            GuestHookPath = "g",
            KernelModules = [new KernelModule { Name = "k", Parameters = ["p"] }],
        },
        "0A0168" + "120164" + "120165"
            + "1A2C" + "0A09" + Hex("virtio-fs") + "120178" + "1A0A" + Hex("kataShared") + "2208" + Hex("virtiofs") + "2A02" + Hex("ro") + "3202" + Hex("/m")
            + "2001" + "2A0173" + "320167" + "3A06" + "0A016B" + "120170");

    [Fact]
    public void A_container_is_made() => AssertBytes(
        new CreateContainerRequest
        {
            ContainerId = "c",
            ExecId = "e",
            StringUser = new StringUser { Uid = "u", Gid = "g", AdditionalGids = ["a"] },
            Devices = [new Device { Id = "1", Type = "2", VmPath = "3", ContainerPath = "4", Options = ["5"] }],
            Storages = [new Storage { FsGroup = new FSGroup { GroupId = 1, GroupChangePolicy = FSGroupChangePolicy.OnRootMismatch } }],
            Oci = new Spec { Root = new Root { Path = "/r", Readonly = true } },
            SandboxPidns = true,
            SharedMounts = [new SharedMount { Name = "1", SrcCtr = "2", SrcPath = "3", DstCtr = "4", DstPath = "5" }],
            StdinPort = 1,
            StdoutPort = 2,
            StderrPort = 3,
        },
        "0A0163" + "120165" + "1A09" + "0A0175120167" + "1A0161" + "220F" + "0A0131120132" + "1A0133220134" + "2A0135"
            + "2A06" + "3A04" + "10011801" + "3208" + "1A06" + "0A022F72" + "1001" + "3801" + "420F" + "0A0131120132" + "1A0133220134" + "2A0135"
            + "4801" + "5002" + "5803");

    [Fact]
    public void A_process_runs() => AssertBytes(
        new ExecProcessRequest
        {
            ContainerId = "c",
            ExecId = "e",
            Process = new Process
            {
                Terminal = true,
                ConsoleSize = new Box { Height = 1, Width = 2 },
                User = new User { Uid = 1, Gid = 2, AdditionalGids = [3, 300], Username = "n" },
                Args = ["a"],
                Env = ["b"],
                Cwd = "/",
                Capabilities = new LinuxCapabilities { Bounding = ["1"], Effective = ["2"], Inheritable = ["3"], Permitted = ["4"], Ambient = ["5"] },
                Rlimits = [new POSIXRlimit { Type = "t", Hard = 2, Soft = 1 }],
                NoNewPrivileges = true,
                ApparmorProfile = "p",
                OomScoreAdj = -1,
                SelinuxLabel = "l",
            },
        },
        "0A0163" + "120165" + "224C"
            + "0801" + "120408011002" + "1A0C" + "08011002" + "1A0303AC02" + "22016E" + "220161" + "2A0162" + "32012F"
            + "3A0F" + "0A0131120132" + "1A0133220134" + "2A0135" + "4207" + "0A0174" + "10021801" + "4801" + "520170" + "58FFFFFFFFFFFFFFFFFF01" + "62016C");

    [Fact]
    public void Processes_are_waited_for_and_written_to()
    {
        AssertBytes(new WaitProcessResponse { Status = 137 }, "088901");
        AssertBytes(new SignalProcessRequest { ContainerId = "c", ExecId = "e", Signal = 9 }, "0A0163" + "120165" + "1809");
        AssertBytes(new WriteStreamRequest { ContainerId = "c", ExecId = "e", Data = "hi"u8.ToArray() }, "0A0163" + "120165" + "1A026869");
        AssertBytes(new ReadStreamRequest { ContainerId = "c", ExecId = "e", Len = 300 }, "0A0163" + "120165" + "18AC02");
        AssertBytes(new ReadStreamResponse { Data = "hi"u8.ToArray() }, "0A026869");
        AssertBytes(new TtyWinResizeRequest { ContainerId = "c", ExecId = "e", Row = 24, Column = 80 }, "0A0163" + "120165" + "1818" + "2050");
    }

    [Fact]
    public void The_guest_is_set_up()
    {
        AssertBytes(new ReseedRandomDevRequest { Data = new byte[] { 7 } }, "120107");
        AssertBytes(new SetGuestDateTimeRequest { Sec = 1, Usec = 2 }, "0801" + "1002");
        AssertBytes(new OnlineCPUMemRequest { Wait = true, NbCpus = 2, CpuOnly = true }, "0801" + "1002" + "1801");
        AssertBytes(
            new CopyFileRequest { Path = "/p", FileSize = 1, FileMode = 2, DirMode = 3, Uid = 4, Gid = 5, Offset = 6, Data = new byte[] { 7 } },
            "0A022F70" + "1001" + "1802" + "2003" + "2804" + "3005" + "3806" + "420107");
        AssertBytes(
            new GuestDetailsResponse
            {
                MemBlockSizeBytes = 128,
                AgentDetails = new AgentDetails { Version = "v", InitDaemon = true, DeviceHandlers = ["d"], StorageHandlers = ["s"], SupportsSeccomp = true, ExtraFeatures = ["x"] },
                SupportMemHotplugProbe = true,
            },
            "088001" + "1210" + "0A0176" + "1001" + "1A0164" + "220173" + "2801" + "320178" + "1801");
        AssertBytes(new HealthCheckResponse { Status = ServingStatus.Serving }, "0801");
        AssertBytes(new VersionCheckResponse { GrpcVersion = "g", AgentVersion = "a" }, "0A0167" + "120161");
    }

    [Fact]
    public void The_network_is_set_up()
    {
        AssertBytes(
            new UpdateInterfaceRequest
            {
                Interface = new Interface
                {
                    Device = "d",
                    Name = "n",
                    IpAddresses = [new IPAddress { Family = IPFamily.V6, Address = "a", Mask = "m" }],
                    Mtu = 1500,
                    HwAddr = "h",
                    DevicePath = "p",
                    Type = "t",
                    RawFlags = 128,
                },
            },
            "0A1F" + "0A0164" + "12016E" + "1A08" + "0801" + "120161" + "1A016D" + "20DC0B" + "2A0168" + "320170" + "3A0174" + "408001");
        AssertBytes(
            new UpdateRoutesRequest { Routes = new Routes { Items = [new Route { Dest = "d", Gateway = "g", Device = "v", Source = "s", Scope = 253, Family = IPFamily.V6, Flags = 4, Metric = 7 }] } },
            "0A18" + "0A16" + "0A0164" + "120167" + "1A0176" + "220173" + "28FD01" + "3001" + "3804" + "A00607");
        AssertBytes(
            new AddARPNeighborsRequest
            {
                Neighbors = new ARPNeighbors { Items = [new ARPNeighbor { ToIpAddress = new IPAddress { Address = "a" }, Device = "d", Lladdr = "l", State = 128, Flags = 1 }] },
            },
            "0A12" + "0A10" + "0A03120161" + "120164" + "1A016C" + "208001" + "2801");
    }

    [Fact]
    public void Figures_are_told() => AssertBytes(
        new StatsContainerResponse
        {
            CgroupStats = new CgroupStats
            {
                CpuStats = new CpuStats
                {
                    CpuUsage = new CpuUsage { TotalUsage = 1, PercpuUsage = [2, 3], UsageInKernelmode = 4, UsageInUsermode = 5 },
                    ThrottlingData = new ThrottlingData { Periods = 1, ThrottledPeriods = 2, ThrottledTime = 3 },
                },
                MemoryStats = new MemoryStats
                {
                    Cache = 1,
                    Usage = new MemoryData { Usage = 1, MaxUsage = 2, Failcnt = 3, Limit = 4 },
                    UseHierarchy = true,
                    Stats = new Dictionary<string, ulong> { ["k"] = 6 },
                },
                PidsStats = new PidsStats { Current = 1, Limit = 2 },
                BlkioStats = new BlkioStats { IoServiceBytesRecursive = [new BlkioStatsEntry { Major = 8, Minor = 1, Op = "R", Value = 9 }] },
                HugetlbStats = new Dictionary<string, HugetlbStats> { ["2"] = new() { Usage = 1, MaxUsage = 2, Failcnt = 3 } },
            },
            NetworkStats = [new NetworkStats { Name = "e", RxBytes = 1, TxBytes = 2, TxDropped = 3 }],
        },
        "0A4D" + "0A14" + "0A0A" + "0801" + "12020203" + "1804" + "2005" + "1206" + "080110021803"
            + "1215" + "0801" + "1208" + "0801100218032004" + "2801" + "3205" + "0A016B" + "1006"
            + "1A04" + "08011002" + "220B" + "0A09" + "08081001" + "1A0152" + "2009" + "2A0B" + "0A0132" + "1206" + "080110021803"
            + "1209" + "0A0165" + "1001" + "3002" + "4803");

    [SkippableFact]
    public void Protoc_reads_a_request_by_its_names()
    {
        Protoc.SkipWithout();
        const string proto = """
            syntax = "proto3";
            message LinuxSyscall { repeated string Names = 1; string Action = 2; oneof ErrnoRet { uint32 errnoret = 3; } }
            message LinuxSeccomp { string DefaultAction = 1; repeated LinuxSyscall Syscalls = 4; }
            message Linux { map<string, string> Sysctl = 3; LinuxSeccomp Seccomp = 8; }
            message Spec { string Version = 1; map<string, string> Annotations = 7; Linux Linux = 8; }
            message CreateContainerRequest { string container_id = 1; Spec OCI = 6; uint32 stderr_port = 11; }
            """;
        var request = new CreateContainerRequest
        {
            ContainerId = "c1",
            Oci = new Spec
            {
                Version = "1.1.0",
                Annotations = new Dictionary<string, string> { ["a"] = "b" },
                Linux = new OciLinux
                {
                    Sysctl = new Dictionary<string, string> { ["k"] = "v" },
                    Seccomp = new LinuxSeccomp { DefaultAction = "A", Syscalls = [new LinuxSyscall { Names = ["n"], Action = "B", Errnoret = 0 }] },
                },
            },
            StderrPort = 5,
        };
        string text = string.Join(' ', Protoc.Decode(proto, "CreateContainerRequest", ProtoWriter.ToBytes(request)).Split([' ', '\n'], StringSplitOptions.RemoveEmptyEntries));
        Assert.Equal("""
            container_id: "c1" OCI { Version: "1.1.0" Annotations { key: "a" value: "b" } Linux { Sysctl { key: "k" value: "v" }
            """ + """
             Seccomp { DefaultAction: "A" Syscalls { Names: "n" Action: "B" errnoret: 0 } } } } stderr_port: 5
            """, text);
    }

    private static string Hex(string text) => Convert.ToHexString(System.Text.Encoding.ASCII.GetBytes(text));

    /// <summary>The message is these bytes, and these bytes are the message.</summary>
    private static void AssertBytes<T>(T message, string hex)
        where T : class, IProtoMessage<T>
    {
        Assert.Equal(hex, Convert.ToHexString(ProtoWriter.ToBytes(message)));
        Assert.Equal(hex, Convert.ToHexString(ProtoWriter.ToBytes(T.Read(Convert.FromHexString(hex)))));
    }
}
