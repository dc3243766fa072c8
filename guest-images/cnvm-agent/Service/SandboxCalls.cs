using System.Globalization;
using System.Text;
using Cnvm.Agent.Protocol;
using Cnvm.GuestAgent.Containers;
using Cnvm.GuestAgent.Init;
using Cnvm.GuestAgent.Io;
using Cnvm.GuestAgent.Storages;
using Cnvm.Linux;
using Cnvm.Ttrpc;

namespace Cnvm.GuestAgent.Service;

/// <summary>Calls about the machine as a whole.</summary>
internal sealed class SandboxCalls(Sandbox sandbox, ConsoleLog log)
{
    private const string MemoryFolder = "/sys/devices/system/memory";
    private const int MostNameServers = 16;
    private readonly SharedFolder _files = new("/run/kata-containers");
    private readonly TaskCompletionSource _destroyed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _isCreated;

    /// <summary>The sandbox has been ended on request.</summary>
    public Task Destroyed => _destroyed.Task;

    public void AddTo(TtrpcService service) => service
        .Add<CreateSandboxRequest, Empty>(AgentService.CreateSandbox, (r, _) => Answers.DoAsync(() => Create(r)))
        .Add<DestroySandboxRequest, Empty>(AgentService.DestroySandbox, (_, _) => Answers.DoAsync(Destroy))
        .Add<CopyFileRequest, Empty>(AgentService.CopyFile, (r, _) => Answers.DoAsync(() => Copy(r)))
        .Add<SetGuestDateTimeRequest, Empty>(AgentService.SetGuestDateTime, (r, _) => Answers.DoAsync(() => Machine.SetTime(r.Sec, checked(r.Usec * 1000))))
        .Add<ReseedRandomDevRequest, Empty>(AgentService.ReseedRandomDev, (r, _) => Answers.DoAsync(() => Machine.AddRandomness(r.Data.Span)))
        .Add<GuestDetailsRequest, GuestDetailsResponse>(AgentService.GetGuestDetails, (r, _) => Answers.GetAsync(() => Details(r)))
        .Add<OnlineCPUMemRequest, Empty>(AgentService.OnlineCPUMem, (r, _) => Answers.DoAsync(() => HotPlug.BringOnline(r.NbCpus, r.CpuOnly, r.Wait)))
        .Add<GetMetricsRequest, Metrics>(AgentService.GetMetrics, (_, _) => Answers.GetAsync(Measure));

    private void Create(CreateSandboxRequest request)
    {
        if (request.KernelModules.Count > 0)
        {
            throw new TtrpcException(TtrpcCode.Unimplemented, $"kernel module {request.KernelModules[0].Name}: the sandbox's kernel has no modules");
        }

        if (request.GuestHookPath.Length > 0)
        {
            throw new TtrpcException(TtrpcCode.Unimplemented, $"hooks of the sandbox ({request.GuestHookPath}) are not supported");
        }

        if (Interlocked.Exchange(ref _isCreated, 1) != 0)
        {
            throw new TtrpcException(TtrpcCode.AlreadyExists, "the sandbox has been created already: there is one for each agent");
        }

        if (request.Hostname.Length > 0)
        {
            sandbox.SetHostName(request.Hostname);
        }

        if (request.Dns.Count > 0)
        {
            Directory.CreateDirectory("/etc");
            File.WriteAllText("/etc/resolv.conf", string.Concat(request.Dns.Take(MostNameServers).Select(d => $"{(d.Contains(' ') ? "" : "nameserver ")}{d}\n")));
        }

        foreach (Storage storage in request.Storages)
        {
            _ = sandbox.Storages.Add(ContainerCalls.Read(storage));
        }

        log.Write($"sandbox {request.SandboxId}: made, {request.Storages.Count} storages");
    }

    private void Destroy()
    {
        sandbox.RemoveAll();
        log.Write("sandbox: ended on request");
        _destroyed.TrySetResult();
    }

    private void Copy(CopyFileRequest request) => _files.Write(
        request.Path, request.FileSize, request.FileMode, request.DirMode, unchecked((uint)request.Uid), unchecked((uint)request.Gid), request.Offset, request.Data.Span);

    private static GuestDetailsResponse Details(GuestDetailsRequest request) => new()
    {
        MemBlockSizeBytes = request.MemBlockSize && File.Exists($"{MemoryFolder}/block_size_bytes")
            ? ulong.Parse(File.ReadAllText($"{MemoryFolder}/block_size_bytes").Trim(), NumberStyles.HexNumber, CultureInfo.InvariantCulture)
            : 0,
        SupportMemHotplugProbe = request.MemHotplugProbe && File.Exists($"{MemoryFolder}/probe"),
        AgentDetails = new AgentDetails
        {
            Version = BuildVersion.Number,
            InitDaemon = NativeThread.ProcessId == 1,
            DeviceHandlers = ["blk", "mmioblk"],
            StorageHandlers = StorageMounts.Drivers,
            SupportsSeccomp = true,
        },
    };

    /// <summary>Lines of Prometheus's text format.</summary>
    private Metrics Measure()
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"# TYPE cnvm_agent_containers gauge\ncnvm_agent_containers {sandbox.Count}\n");
        text.Append(CultureInfo.InvariantCulture, $"# TYPE cnvm_agent_memory_bytes gauge\ncnvm_agent_memory_bytes {Environment.WorkingSet}\n");
        text.Append("# TYPE kata_guest_meminfo gauge\n");
        foreach (string line in File.ReadAllLines("/proc/meminfo"))
        {
            string[] words = line.Split((char[])[' ', ':', '(', ')'], StringSplitOptions.RemoveEmptyEntries);
            if (words is [string name, .., string number, "kB"] && ulong.TryParse(number, CultureInfo.InvariantCulture, out ulong kilobytes))
            {
                text.Append(CultureInfo.InvariantCulture, $"kata_guest_meminfo{{item=\"{name.ToLowerInvariant()}\"}} {kilobytes * 1024}\n");
            }
        }

        return new Metrics { Text = text.ToString() };
    }
}
