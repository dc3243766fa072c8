using System.Collections.Concurrent;
using Cnvm.Shim.Sandboxes;
using Cnvm.Ttrpc;

namespace Cnvm.Shim.Tasks;

/// <summary>A container as containerd sees it, with its processes.</summary>
internal sealed class ContainerTask
{
    private readonly ConcurrentDictionary<string, TaskProcess> _execs = new();

    /// <param name="rootfs">Mounted for this container; unmounted with it.</param>
    public ContainerTask(string id, string bundle, IContainer container, TaskProcess init, RootMount rootfs)
    {
        Id = id;
        Bundle = bundle;
        Container = container;
        Init = init;
        Rootfs = rootfs;
    }

    public string Id { get; }

    public string Bundle { get; }

    public IContainer Container { get; }

    public TaskProcess Init { get; }

    public RootMount Rootfs { get; }

    /// <summary>Who changes this container or one of its processes holds it; reading and waiting go without.</summary>
    public SemaphoreSlim Gate { get; } = new(1);

    /// <summary>It was deleted: who waited at the gate meanwhile must not go on.</summary>
    public bool IsDeleted { get; set; }

    /// <summary>Those of exec calls.</summary>
    public IEnumerable<TaskProcess> Execs => _execs.Values;

    /// <summary>All processes that were made and not deleted.</summary>
    public IEnumerable<TaskProcess> Processes => Execs.Prepend(Init);

    /// <param name="execId">Empty for the first process.</param>
    /// <exception cref="TtrpcException">There is none of that name.</exception>
    public TaskProcess Find(string execId) =>
        execId.Length == 0 ? Init
        : _execs.TryGetValue(execId, out TaskProcess? process) ? process
        : throw new TtrpcException(TtrpcCode.NotFound, $"container {Id} has no process {execId}: not found");

    public void Add(TaskProcess process)
    {
        if (!_execs.TryAdd(process.ExecId, process))
        {
            throw new TtrpcException(TtrpcCode.AlreadyExists, $"container {Id} has a process {process.ExecId} already");
        }
    }

    public bool Has(string execId) => _execs.ContainsKey(execId);

    public void Remove(string execId) => _execs.TryRemove(execId, out _);
}
