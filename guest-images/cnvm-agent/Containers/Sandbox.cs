using System.Collections.Concurrent;
using Cnvm.GuestAgent.Cgroups;
using Cnvm.GuestAgent.Io;
using Cnvm.GuestAgent.Processes;
using Cnvm.GuestAgent.Stage;
using Cnvm.GuestAgent.Storages;
using Cnvm.Linux;
using Cnvm.Ttrpc;

namespace Cnvm.GuestAgent.Containers;

/// <summary>All containers, and what they share. Any thread.</summary>
internal sealed class Sandbox : IDisposable
{
    private const int MostContainers = 256;
    private readonly ConsoleLog _log;
    private readonly StageLauncher _launcher;
    private readonly ContainerEnvironment _environment;
    private readonly FileDescriptor[] _namespaces;
    private readonly ConcurrentDictionary<string, Container?> _containers = new();
    private readonly Lock _podLock = new();
    private FileDescriptor? _podProcessIds;

    /// <param name="controlGroups">Folder of the control group that containers' are made in.</param>
    /// <exception cref="IOException">The kernel lacks something.</exception>
    public Sandbox(string controlGroups, DescriptorWatch watch, ConsoleLog log)
    {
        _log = log;
        Watch = watch;
        var processes = new ProcessTable();
        _launcher = new StageLauncher(processes);
        _namespaces = SandboxNamespaces.Create("");
        _environment = new ContainerEnvironment(controlGroups, processes, _launcher, watch, _namespaces, log);
        Storages = new StorageMounts("/sys");
        OutOfMemory = new OomWatch(watch, log);
    }

    public DescriptorWatch Watch { get; }

    public StorageMounts Storages { get; }

    public OomWatch OutOfMemory { get; }

    public int Count => _containers.Count;

    /// <summary>Makes a container.</summary>
    /// <param name="sharesProcessIds">It sees the processes of the others that do.</param>
    /// <exception cref="TtrpcException">The name is taken or no name, or there are too many.</exception>
    /// <exception cref="StageException">It cannot be made as its specification says.</exception>
    /// <exception cref="IOException">The sandbox refuses.</exception>
    public void Create(
        string id, string processId, StagePlan plan, ContainerLimits limits, IReadOnlyList<StorageRequest> storages, bool sharesProcessIds)
    {
        Names.Check(id, "container");
        Names.Check(processId.Length == 0 ? id : processId, "process");
        if (_containers.Count >= MostContainers)
        {
            throw new TtrpcException(TtrpcCode.ResourceExhausted, $"the sandbox has {MostContainers} containers");
        }

        // Keeps the name while the container is made.
        if (!_containers.TryAdd(id, null))
        {
            throw new TtrpcException(TtrpcCode.AlreadyExists, $"container {id} exists");
        }

        var held = new List<string>();
        try
        {
            foreach (StorageRequest storage in storages)
            {
                if (Storages.Add(storage) is { } mountPoint)
                {
                    held.Add(mountPoint);
                }
            }

            Container container = sharesProcessIds
                ? CreateInPod(id, processId, plan, limits, held)
                : Container.Create(id, processId.Length == 0 ? id : processId, plan, limits, held, null, _environment);
            _containers[id] = container;
            OutOfMemory.Watch(id, container.Group, container.Removed);
            _log.Write($"container {id}: made, process {container.ProcessId}");
            _ = TellEndAsync(container);
        }
        catch
        {
            _containers.TryRemove(id, out _);
            Release(held);
            throw;
        }
    }

    /// <exception cref="TtrpcException">There is no such container.</exception>
    public Container Find(string id) =>
        _containers.GetValueOrDefault(id) ?? throw new TtrpcException(TtrpcCode.NotFound, $"there is no container {id}");

    /// <exception cref="TtrpcException">There is no such container.</exception>
    /// <exception cref="StageException">Its program cannot be executed.</exception>
    public void Start(string id)
    {
        Find(id).Start();
        _log.Write($"container {id}: started");
    }

    /// <exception cref="TtrpcException">There is no such container.</exception>
    /// <exception cref="IOException">Its processes do not end, or the kernel refuses.</exception>
    public void Remove(string id)
    {
        Container container = Find(id);
        container.Remove();
        if (_containers.TryRemove(id, out _))
        {
            Release(container.Storages);
            _log.Write($"container {id}: removed");
        }
    }

    /// <summary>Ends all containers; what cannot be ended is said on the console.</summary>
    public void RemoveAll()
    {
        foreach (string id in _containers.Keys)
        {
            try
            {
                Remove(id);
            }
            catch (Exception e) when (e is IOException or TtrpcException)
            {
                _log.Write($"container {id}: not removed: {e.Message}");
            }
        }
    }

    /// <summary>Names the sandbox, for containers that do not name themselves.</summary>
    /// <exception cref="IOException">The name is not possible.</exception>
    public void SetHostName(string name)
    {
        Exception? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                Namespaces.Enter(_namespaces[0].Value, Namespaces.CLONE_NEWUTS);
                Namespaces.SetHostName(name);
            }
            catch (IOException e)
            {
                failure = e;
            }
        });
        thread.Start();
        thread.Join();
        if (failure is not null)
        {
            throw failure;
        }
    }

    public void Dispose()
    {
        foreach (FileDescriptor fd in _namespaces)
        {
            fd.Dispose();
        }

        _podProcessIds?.Dispose();
        _launcher.Dispose();
    }

    private Container CreateInPod(string id, string processId, StagePlan plan, ContainerLimits limits, List<string> held)
    {
        lock (_podLock)
        {
            Container container = Container.Create(id, processId.Length == 0 ? id : processId, plan, limits, held, _podProcessIds, _environment);
            // The first one's is the pod's, as long as it lives.
            _podProcessIds ??= container.ShareProcessIds();
            return container;
        }
    }

    private void Release(IReadOnlyList<string> mountPoints)
    {
        foreach (string mountPoint in mountPoints)
        {
            try
            {
                Storages.Release(mountPoint);
            }
            catch (LinuxException e)
            {
                _log.Write($"storage {mountPoint}: not unmounted: {e.Message}");
            }
        }
    }

    private async Task TellEndAsync(Container container)
    {
        int code = await container.Exit.ConfigureAwait(false);
        _log.Write($"container {container.Id}: ended with code {code}");
    }
}
