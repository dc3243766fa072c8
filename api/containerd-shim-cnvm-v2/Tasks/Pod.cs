using System.Collections.Concurrent;
using Cnvm.Linux;
using Cnvm.Shim.Config;
using Cnvm.Shim.Events;
using Cnvm.Shim.Messages;
using Cnvm.Shim.Sandboxes;
using Cnvm.Ttrpc;
using Microsoft.Extensions.Logging;

namespace Cnvm.Shim.Tasks;

/// <summary>The containers of one shim and the virtual machine that they are in: started with the first of them, ended with the last.</summary>
internal sealed partial class Pod(ISandboxFactory factory, ShimIdentity identity, IEventSink events, ILogger logger) : IAsyncDisposable
{
    private readonly ConcurrentDictionary<string, ContainerTask> _tasks = new();
    private readonly SemaphoreSlim _gate = new(1);
    private readonly CancellationTokenSource _end = new();
    private ISandbox? _sandbox;
    private HostCgroup? _cgroup;
    private Task _outOfMemory = Task.CompletedTask;

    public ShimIdentity Identity => identity;

    public bool IsEmpty => _tasks.IsEmpty;

    /// <summary>Process number of the VMM, which stands for every process in the guest; 0 before there was one.</summary>
    public int ProcessId { get; private set; }

    /// <exception cref="TtrpcException">There is none of that name.</exception>
    public ContainerTask Find(string id) =>
        _tasks.TryGetValue(id, out ContainerTask? task) ? task : throw new TtrpcException(TtrpcCode.NotFound, $"container {id}: not found");

    /// <summary>Makes a container of its bundle, and the virtual machine if there is none.</summary>
    /// <param name="makeStreams">Opens the first process's streams.</param>
    /// <exception cref="TtrpcException">It cannot be made; nothing of it is left.</exception>
    public async Task<ContainerTask> CreateAsync(CreateTaskRequest request, Func<Task<Streams.StandardStreams>> makeStreams)
    {
        ThrowUnlessName(request.Id, "container");
        await _gate.WaitAsync(CancellationToken.None);
        try
        {
            if (_tasks.ContainsKey(request.Id))
            {
                throw new TtrpcException(TtrpcCode.AlreadyExists, $"container {request.Id} is there already");
            }

            Bundle bundle = Bundle.Load(request.Bundle);
            RootMount rootfs = RootMount.Make(request.Rootfs, request.Bundle, bundle.RootPath);
            Streams.StandardStreams? streams = null;
            try
            {
                streams = await makeStreams();
                var settings = new ContainerSettings { Id = request.Id, Spec = bundle.Spec, Rootfs = rootfs.Path };
                if (request.Checkpoint.Length > 0 && _sandbox is not null)
                {
                    throw new TtrpcException(TtrpcCode.FailedPrecondition, $"container {request.Id}: a checkpoint is a whole virtual machine's, and the pod has one already");
                }

                ISandbox sandbox = _sandbox ??= await StartSandboxAsync(request, bundle, settings);
                IContainer container = await sandbox.CreateAsync(settings, CancellationToken.None);
                var task = new ContainerTask(
                    request.Id, request.Bundle, container, new TaskProcess("", request, default, streams) { Guest = container.Init }, rootfs);
                _tasks[request.Id] = task;
                return task;
            }
            catch
            {
                if (streams is not null)
                {
                    await streams.DisposeAsync();
                }

                if (_tasks.IsEmpty)
                {
                    await EndSandboxAsync();
                }

                rootfs.Unmount();
                throw;
            }
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>Forgets a container whose processes have all ended, and ends the machine with the last one.</summary>
    public async Task RemoveAsync(ContainerTask task)
    {
        await _gate.WaitAsync(CancellationToken.None);
        try
        {
            _tasks.TryRemove(task.Id, out _);
            if (_tasks.IsEmpty)
            {
                await EndSandboxAsync();
            }
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>Saves the machine's state.</summary>
    /// <exception cref="TtrpcException">There are other containers in it, which the state would be of as well.</exception>
    public async Task SaveAsync(ContainerTask task, string directory, CancellationToken cancellation)
    {
        await _gate.WaitAsync(cancellation);
        try
        {
            if (_tasks.Count > 1)
            {
                throw new TtrpcException(
                    TtrpcCode.FailedPrecondition, $"container {task.Id} shares its virtual machine with {_tasks.Count - 1} others: only one that is alone can be saved");
            }

            await _sandbox!.SaveAsync(task.Id, directory, cancellation);
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>Refuses names that cannot be parts of paths, which they become in host and guest.</summary>
    /// <exception cref="TtrpcException">It is such a name.</exception>
    public static void ThrowUnlessName(string name, string what)
    {
        const int MostCharacters = 128;
        bool isGood = name.Length is > 0 and <= MostCharacters && char.IsAsciiLetterOrDigit(name[0])
            && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or '_');
        if (!isGood)
        {
            throw new TtrpcException(
                TtrpcCode.InvalidArgument, $"{what} '{name}': names have 1 to {MostCharacters} letters, digits, '.', '-' and '_', and begin with a letter or digit");
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _gate.WaitAsync(CancellationToken.None);
        foreach (ContainerTask task in _tasks.Values)
        {
            foreach (TaskProcess process in task.Processes)
            {
                await process.DisposeAsync();
            }
        }

        await EndSandboxAsync();
        foreach (ContainerTask task in _tasks.Values)
        {
            task.Rootfs.Unmount();
        }

        await _outOfMemory;
        _end.Dispose();
    }

    private async Task<ISandbox> StartSandboxAsync(CreateTaskRequest request, Bundle bundle, ContainerSettings first)
    {
        ShimConfig config = OptionsOf(request.Options);
        LogStarting(logger, identity.Id, identity.SandboxDirectory);
        ISandbox sandbox = await factory.StartAsync(
            new SandboxSettings
            {
                Name = identity.SandboxName,
                Directory = identity.SandboxDirectory,
                Vmm = config.Vmm,
                Kernel = config.Kernel,
                Initramfs = config.Initramfs,
                CommandLine = config.CommandLine,
                Cpus = bundle.Cpus > 0 ? bundle.Cpus : config.Cpus,
                Memory = config.Memory + bundle.MemoryLimit,
                HostName = bundle.HostName,
                NetworkNamespace = bundle.NetworkNamespace,
                Templates = config.Templates,
                RestoreFrom = request.Checkpoint.Length > 0 ? request.Checkpoint : null,
                First = first,
            },
            CancellationToken.None);
        try
        {
            ProcessId = sandbox.ProcessId;
            _cgroup = HostCgroup.Join(bundle.CgroupsPath, sandbox.ProcessId);
            // A shim of containerd is kept from the kernel's choice of what to end, and its children would be.
            await File.WriteAllTextAsync(
                $"/proc/{sandbox.ProcessId}/oom_score_adj",
                (bundle.OutOfMemoryScore ?? 0).ToString(System.Globalization.CultureInfo.InvariantCulture),
                CancellationToken.None);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            await sandbox.DisposeAsync();
            _cgroup?.Remove();
            throw new TtrpcException(TtrpcCode.Unknown, $"place the virtual machine: {e.Message}");
        }

        _outOfMemory = WatchMemoryAsync(sandbox);
        return sandbox;
    }

    private static ShimConfig OptionsOf(ProtoAny? options)
    {
        // Options of other runtimes come along where containerd has defaults for them.
        if (options is null || !options.TypeUrl.EndsWith("runtimeoptions.v1.Options", StringComparison.Ordinal))
        {
            return new ShimConfig();
        }

        RuntimeOptions known = RuntimeOptions.Read(options.Value.Span);
        return known.ConfigBody.Length > 0 ? ShimConfig.Parse("runtime configuration", System.Text.Encoding.UTF8.GetString(known.ConfigBody.Span))
            : known.ConfigPath.Length > 0 ? ShimConfig.Load(known.ConfigPath)
            : new ShimConfig();
    }

    private async Task EndSandboxAsync()
    {
        if (_sandbox is { } sandbox)
        {
            _sandbox = null;
            await _end.CancelAsync();
            try
            {
                await sandbox.DisposeAsync();
            }
            catch (IOException e)
            {
                // Its containers are gone all the same; the delete command tries again.
                LogRemains(logger, identity.SandboxDirectory, e);
            }

            _cgroup?.Remove();
            _cgroup = null;
        }
    }

    private async Task WatchMemoryAsync(ISandbox sandbox)
    {
        // The guest says it, and may say anything, as often as it likes: containerd and the queue of events are spared what is too much.
        const int MostPerSecond = 16;
        using var second = new PeriodicTimer(TimeSpan.FromSeconds(1));
        try
        {
            for (int said = 1; ; said++)
            {
                string id = await sandbox.WaitForOutOfMemoryAsync(_end.Token);
                if (_tasks.ContainsKey(id))
                {
                    events.Publish(EventTopic.Oom, new TaskOom { ContainerId = id });
                }

                if (said % MostPerSecond == 0)
                {
                    await second.WaitForNextTickAsync(_end.Token);
                }
            }
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            LogNoMemoryEvents(logger, e.Message);
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "starting the virtual machine of {Id} in {Directory}")]
    private static partial void LogStarting(ILogger logger, string id, string directory);

    [LoggerMessage(Level = LogLevel.Error, Message = "something of the virtual machine is left in {Directory}")]
    private static partial void LogRemains(ILogger logger, string directory, Exception reason);

    [LoggerMessage(Level = LogLevel.Debug, Message = "no more events about memory: {Reason}")]
    private static partial void LogNoMemoryEvents(ILogger logger, string reason);
}
