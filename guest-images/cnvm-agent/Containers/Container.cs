using Cnvm.GuestAgent.Cgroups;
using Cnvm.GuestAgent.Devices;
using Cnvm.GuestAgent.Processes;
using Cnvm.GuestAgent.Stage;
using Cnvm.Linux;
using Cnvm.Ttrpc;

namespace Cnvm.GuestAgent.Containers;

/// <summary>A container: its control group, its first process and further ones. Any thread.</summary>
internal sealed class Container : IDisposable
{
    private const int MostProcesses = 1024;
    private readonly ContainerEnvironment _environment;
    private readonly DeviceGate _devices;
    private readonly ContainerProcess _first;
    private readonly Dictionary<string, ContainerProcess?> _others = [];
    private readonly FileDescriptor _pidNamespace;
    private readonly FileDescriptor[] _namespaces;
    private readonly CancellationTokenSource _removed = new();
    private readonly Lock _lock = new();

    private Container(
        string id, StagePlan plan, ControlGroup group, DeviceGate devices, ContainerProcess first, IReadOnlyList<string> storages, ContainerEnvironment environment)
    {
        Id = id;
        Plan = plan;
        Group = group;
        _devices = devices;
        _first = first;
        Storages = storages;
        _environment = environment;
        _pidNamespace = OpenNamespace("pid");
        _namespaces = [OpenNamespace("mnt"), OpenNamespace("cgroup"), OpenNamespace("uts"), OpenNamespace("ipc")];
    }

    public string Id { get; }

    /// <summary>Of the container with its first process.</summary>
    public StagePlan Plan { get; }

    public ControlGroup Group { get; }

    /// <summary>Mount points that the container holds.</summary>
    public IReadOnlyList<string> Storages { get; }

    /// <summary>Cancelled when the container is removed.</summary>
    public CancellationToken Removed => _removed.Token;

    /// <summary>Number of the first process.</summary>
    public int ProcessId => _first.ProcessId;

    public Task<int> Exit => _first.Exit;

    /// <summary>Makes a container up to its first process, which waits for <see cref="Start"/>.</summary>
    /// <param name="processId">How the host names the first process.</param>
    /// <param name="pidNamespace">The pod's; null for one of its own.</param>
    /// <exception cref="StageException">It cannot be made as the plan says; nothing of it is left.</exception>
    /// <exception cref="IOException">The sandbox refuses; nothing of it is left.</exception>
    public static Container Create(
        string id, string processId, StagePlan plan, ContainerLimits limits, IReadOnlyList<string> storages, FileDescriptor? pidNamespace, ContainerEnvironment environment)
    {
        ControlGroup group = ControlGroup.Create(environment.ControlGroups, id);
        var devices = new DeviceGate(id, group, environment.Log);
        try
        {
            group.Apply(limits);
            devices.Apply(limits.Devices, plan);
            StagedProcess staged = environment.Launcher.Launch(plan, pidNamespace, environment.SharedNamespaces, group.Add);
            var first = new ContainerProcess(processId, staged, environment.Processes, environment.Watch);
            return new Container(id, plan, group, devices, first, storages, environment);
        }
        catch
        {
            devices.Dispose();
            group.Kill();
            group.Remove();
            throw;
        }
    }

    /// <summary>A second descriptor of the container's PID namespace; the caller owns it.</summary>
    public FileDescriptor ShareProcessIds() => new(FileDescriptor.Duplicate(_pidNamespace.Value));

    /// <exception cref="StageException">The program cannot be executed.</exception>
    /// <exception cref="TtrpcException">It has been started.</exception>
    public void Start()
    {
        lock (_lock)
        {
            if (_first.IsStarted)
            {
                throw new TtrpcException(TtrpcCode.FailedPrecondition, $"container {Id} has been started already");
            }

            _first.Start();
        }
    }

    /// <summary>Starts a further process.</summary>
    /// <param name="plan">Without a root.</param>
    /// <exception cref="StageException">It cannot be executed.</exception>
    /// <exception cref="TtrpcException">The name is taken, there are too many, or the container does not run.</exception>
    public void Execute(string processId, StagePlan plan)
    {
        lock (_lock)
        {
            if (!_first.IsStarted || _first.Exit.IsCompleted)
            {
                throw new TtrpcException(TtrpcCode.FailedPrecondition, $"container {Id} does not run");
            }

            if (processId == _first.Id || _others.ContainsKey(processId))
            {
                throw new TtrpcException(TtrpcCode.AlreadyExists, $"container {Id} has a process {processId} already");
            }

            ForgetOldest();
            // Keeps the name while the process is made.
            _others.Add(processId, null);
        }

        ContainerProcess? process = null;
        try
        {
            StagedProcess staged = _environment.Launcher.Launch(
                plan with { SeccompFilter = Plan.SeccompFilter, SeccompFlags = Plan.SeccompFlags }, _pidNamespace, _namespaces, Group.Add);
            process = new ContainerProcess(processId, staged, _environment.Processes, _environment.Watch);
            process.Start();
            lock (_lock)
            {
                _others[processId] = process;
            }
        }
        catch
        {
            process?.Dispose();
            lock (_lock)
            {
                _others.Remove(processId);
            }

            throw;
        }
    }

    /// <param name="id">Empty is the first process.</param>
    /// <exception cref="TtrpcException">There is none of that name.</exception>
    public ContainerProcess Find(string id)
    {
        lock (_lock)
        {
            return id.Length == 0 || id == _first.Id ? _first
                : _others.GetValueOrDefault(id) ?? throw new TtrpcException(TtrpcCode.NotFound, $"container {Id} has no process {id}");
        }
    }

    /// <summary>Changes what it may use; what is not said stays.</summary>
    /// <exception cref="StageException">Something of it is not possible here.</exception>
    public void Update(ContainerLimits limits)
    {
        Group.Apply(limits);
        lock (_lock)
        {
            _devices.Apply(limits.Devices, Plan);
        }
    }

    /// <summary>Sends a signal.</summary>
    /// <param name="processId">Empty: the first process and all others that are in the container.</param>
    /// <exception cref="TtrpcException">There is no such process, or it has not been started.</exception>
    public void Signal(string processId, int signal)
    {
        ContainerProcess process = Find(processId);
        if (process == _first && signal == Libc.SIGTERM && !Handles(process.ProcessId, signal))
        {
            // The first process of a PID namespace gets no signals that it does not handle: a polite end would never come.
            signal = Children.SIGKILL;
        }

        _ = process.Signal(signal);
        if (processId.Length == 0)
        {
            foreach (int other in Group.Processes.Where(p => p != process.ProcessId))
            {
                _ = Children.Signal(other, signal);
            }
        }
    }

    /// <summary>Ends everything in the container, and takes it away.</summary>
    /// <exception cref="IOException">Processes cannot be ended, or the kernel refuses.</exception>
    public void Remove()
    {
        Group.Kill();
        Group.Remove();
        _removed.Cancel();
        Dispose();
    }

    public void Dispose()
    {
        lock (_lock)
        {
            foreach (ContainerProcess? process in _others.Values)
            {
                process?.Dispose();
            }

            _others.Clear();
        }

        _first.Dispose();
        _devices.Dispose();
        _pidNamespace.Dispose();
        foreach (FileDescriptor fd in _namespaces)
        {
            fd.Dispose();
        }

        _removed.Dispose();
    }

    /// <summary>Processes that have ended and been asked about make room for new ones; the oldest first.</summary>
    private void ForgetOldest()
    {
        if (_others.Count < MostProcesses)
        {
            return;
        }

        ContainerProcess process = _others.Values.FirstOrDefault(p => p is { IsWaited: true })
            ?? throw new TtrpcException(TtrpcCode.ResourceExhausted, $"container {Id} has {MostProcesses} processes whose exit nobody has asked for");
        _others.Remove(process.Id);
        process.Dispose();
    }

    private static bool Handles(int process, int signal)
    {
        string? line = File.ReadAllLines($"/proc/{process}/status").FirstOrDefault(l => l.StartsWith("SigCgt:", StringComparison.Ordinal));
        return line is not null && (Convert.ToUInt64(line[7..].Trim(), 16) & (1UL << (signal - 1))) != 0;
    }

    private FileDescriptor OpenNamespace(string kind)
    {
        string path = $"/proc/{ProcessId}/ns/{kind}";
        return new FileDescriptor(LinuxError.Check(Libc.open(path, Libc.O_RDONLY | Libc.O_CLOEXEC, 0), $"open {path}"));
    }
}
