using System.Globalization;
using Cnvm.Agent.Protocol;
using Cnvm.Sandbox.Agent;
using Cnvm.Sandbox.Machine;
using Cnvm.Sandbox.Networks;
using Cnvm.Ttrpc;

namespace Cnvm.Sandbox;

// How a sandbox comes to be.
public sealed partial class SandboxVm
{
    private const int MaxNameLength = 63;
    private const int SeedBytes = 64;
    private static readonly TimeSpan FirstRetry = TimeSpan.FromMilliseconds(2);
    private static readonly TimeSpan LongestRetry = TimeSpan.FromMilliseconds(10);

    /// <summary>Starts a sandbox, or has one go on from a template; returns when its agent takes containers.</summary>
    /// <exception cref="SandboxException">It cannot be started; nothing is left of it. The message has what the VMM and the guest said.</exception>
    /// <exception cref="IOException">The host's file system refuses.</exception>
    /// <exception cref="OperationCanceledException">It was given up; nothing is left of it.</exception>
    public static async Task<SandboxVm> StartAsync(SandboxOptions options, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        return await LaunchAsync(options, static (sandbox, token) => sandbox.EnterAsync(token), cancellation).ConfigureAwait(false);
    }

    /// <summary>
    /// Boots a guest as far as its agent and saves it, for sandboxes to go on from. They have its processors and its memory, as many folders as it
    /// has, which are their own, and no network.
    /// </summary>
    /// <param name="options">
    /// Without <see cref="SandboxOptions.Template"/> and network. The guest does not look at its folders yet, so that what is in them does not matter.
    /// </param>
    /// <param name="folder">Made if it is missing; must be empty.</param>
    /// <param name="cancellation">Gives it up.</param>
    /// <exception cref="SandboxException">The guest does not start, or cannot be saved.</exception>
    public static async Task MakeTemplateAsync(SandboxOptions options, string folder, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (options.Template is not null || options.Network != SandboxNetwork.None)
        {
            throw new SandboxException(SandboxErrorKind.Invalid, "a template has no template and no network of its own: sandboxes that go on from it would share it");
        }

        SandboxVm sandbox = await LaunchAsync(
            options,
            async (launched, token) =>
            {
                await launched.PauseAsync(token).ConfigureAwait(false);
                await launched.SaveAsync(folder, token).ConfigureAwait(false);
            },
            cancellation).ConfigureAwait(false);
        await sandbox.DisposeAsync().ConfigureAwait(false);
    }

    /// <summary>Connects to the agent of a sandbox that another process, or another object, keeps: for further processes in its containers.</summary>
    /// <param name="folder">The sandbox's <see cref="Folder"/>.</param>
    /// <param name="cancellation">Gives it up.</param>
    /// <exception cref="SandboxException">There is no such sandbox, or it has ended.</exception>
    public static async Task<SandboxVm> AttachAsync(string folder, CancellationToken cancellation = default)
    {
        SandboxFolder place = SandboxFolder.Of(folder);
        var options = new SandboxOptions();
        Stream stream;
        try
        {
            stream = await HybridVsock.TryConnectAsync(place.VsockSocket, AgentService.Port, cancellation).ConfigureAwait(false)
                ?? throw VmmProcess.Gone($"no sandbox answers in {place.Path}");
        }
        catch (System.Net.Sockets.SocketException e)
        {
            throw VmmProcess.Gone($"no sandbox answers in {place.Path}: {e.Message}", e);
        }

        return new SandboxVm(options, Path.GetFileName(place.Path), place, null, new AgentConnection(stream, null, options.CallTimeout));
    }

    /// <summary>Ends and removes what is left of a sandbox whose process has gone: its VMM, what it made in its network namespace, its mounts, its folder. Does nothing if nothing is left.</summary>
    /// <param name="folder">The sandbox's <see cref="Folder"/>.</param>
    /// <exception cref="IOException">Something cannot be removed.</exception>
    public static void CleanUp(string folder)
    {
        SandboxFolder place = SandboxFolder.Of(folder);
        place.KillVmm();
        NamespaceNetwork.Leave(place);
        place.Remove();
    }

    private static async Task<SandboxVm> LaunchAsync(
        SandboxOptions options, Func<SandboxVm, CancellationToken, Task> enter, CancellationToken cancellation, Action<SandboxFolder>? share = null)
    {
        string name = NameOf(options);
        ThrowIfInvalid(options);
        if (options.Template is null)
        {
            KernelBuild.ThrowIfMixed(options.Kernel, options.Initramfs);
        }

        string program = VmmProgram.Find(options.VmmPath);
        SandboxFolder folder = SandboxFolder.Create(options.Folder ?? Path.Combine(RuntimeFolder.Ensure("sandboxes"), name));
        VmmProcess? vmm = null;
        AgentConnection? agent = null;
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(options.StartTimeout);
        try
        {
            NamespaceNetwork? joined = NamespaceNetwork.Of(options);
            if (options.Template is { } template)
            {
                TemplateFolder.Prepare(template, folder, options.Folders, joined);
            }

            share?.Invoke(folder);

            List<string> words = options.Template is null
                ? VmmCommandLine.ToBoot(options, name, folder, joined)
                : VmmCommandLine.ToRestore(options, name, folder);
            vmm = VmmProcess.Start(
                program, words, folder.VmmLog, options.NetworkNamespace, options.Network is SandboxNetwork.TapDescriptors taps ? taps.Fds : []);
            folder.WritePid(vmm.Id);
            agent = await ConnectAsync(options, folder, vmm, limit.Token).ConfigureAwait(false);
            var sandbox = new SandboxVm(options, name, folder, vmm, agent);
            sandbox.Watch();
            await enter(sandbox, limit.Token).ConfigureAwait(false);
            if (joined is not null)
            {
                await joined.EnterAsync(sandbox._api, agent, folder, limit.Token).ConfigureAwait(false);
            }

            return sandbox;
        }
        catch (Exception e)
        {
            string said = ConsoleEnd(folder);
            if (vmm is not null)
            {
                await vmm.DisposeAsync().ConfigureAwait(false);
            }

            if (agent is not null)
            {
                await agent.DisposeAsync().ConfigureAwait(false);
            }

            NamespaceNetwork.Leave(folder);
            folder.Remove();
            switch (e)
            {
                case OperationCanceledException when !cancellation.IsCancellationRequested:
                    throw new SandboxException(
                        SandboxErrorKind.TimedOut,
                        string.Create(CultureInfo.InvariantCulture, $"the sandbox did not start within {options.StartTimeout.TotalSeconds} seconds{said}"), e);
                case SandboxException { Kind: SandboxErrorKind.Gone } gone:
                    throw new SandboxException(SandboxErrorKind.Host, $"the sandbox did not start: {gone.Message}{said}", gone);
                default:
                    throw;
            }
        }
    }

    private static void ThrowIfInvalid(SandboxOptions options)
    {
        const long LeastMemory = 64L << 20;
        if (options.Cpus < 1 || options.MemoryBytes < LeastMemory)
        {
            throw new SandboxException(SandboxErrorKind.Invalid, "a sandbox has at least one processor and 64 MiB of memory");
        }

        if (options.Template is not null && options.Network != SandboxNetwork.None && options.Network != SandboxNetwork.Namespace)
        {
            throw new SandboxException(SandboxErrorKind.Invalid, "a sandbox from a template has no network but that of a namespace: start it without one");
        }

        foreach (SharedFolder shared in options.Folders)
        {
            if (!Directory.Exists(shared.Path))
            {
                throw new SandboxException(SandboxErrorKind.NotFound, $"there is no folder {shared.Path} to share with the sandbox");
            }
        }
    }

    private static string NameOf(SandboxOptions options)
    {
        string name = options.Name ?? $"sandbox-{Convert.ToHexStringLower(KernelRandom.Bytes(6))}";
        return name.Length is > 0 and <= MaxNameLength && char.IsAsciiLetterOrDigit(name[0]) && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or '_')
            ? name
            : throw new SandboxException(
                SandboxErrorKind.Invalid, $"'{name}' is no name for a sandbox: it has 1 to {MaxNameLength} letters, digits, dots, dashes and underscores, and starts with a letter or digit");
    }

    /// <summary>Waits until the guest can be reached at all, and then for its agent, which listens a little later.</summary>
    private static async Task<AgentConnection> ConnectAsync(SandboxOptions options, SandboxFolder folder, VmmProcess vmm, CancellationToken cancellation)
    {
        await vmm.WaitForAsync(
            options.Template is null
                ? static e => e is { Source: "virtio-device", Name: "activated" } && e.Properties.GetValueOrDefault("id", "").Contains("vsock", StringComparison.Ordinal)
                : static e => e is { Source: "vm", Name: "resumed" },
            cancellation).ConfigureAwait(false);
        for (TimeSpan retry = FirstRetry; ; retry = retry * 2 < LongestRetry ? retry * 2 : LongestRetry)
        {
            cancellation.ThrowIfCancellationRequested();
            try
            {
                if (await HybridVsock.TryConnectAsync(folder.VsockSocket, AgentService.Port, cancellation).ConfigureAwait(false) is { } stream)
                {
                    var agent = new AgentConnection(stream, vmm.Ended, options.CallTimeout);
                    try
                    {
                        ThrowIfForeign(
                            options,
                            await agent.HealthAsync<CheckRequest, VersionCheckResponse>(HealthService.Version, new CheckRequest(), options.StartTimeout, cancellation).ConfigureAwait(false));
                        return agent;
                    }
                    catch
                    {
                        await agent.DisposeAsync().ConfigureAwait(false);
                        throw;
                    }
                }

                // Either the VMM ends, or the guest is asked again a little later: it says to nobody that its agent listens.
                SandboxEnd end = await vmm.Ended.WaitAsync(retry, cancellation).ConfigureAwait(false);
                throw VmmProcess.Gone(end.Reason);
            }
            catch (TimeoutException)
            {
                continue;
            }
            catch (System.Net.Sockets.SocketException e)
            {
                SandboxEnd end = await vmm.Ended.WaitAsync(cancellation).ConfigureAwait(false);
                throw VmmProcess.Gone(end.Reason, e);
            }
        }
    }

    /// <summary>Asked for its version, an agent shows that it works, too.</summary>
    private static void ThrowIfForeign(SandboxOptions options, VersionCheckResponse agent)
    {
        if (agent.GrpcVersion != HealthService.ProtocolVersion)
        {
            throw new SandboxException(
                SandboxErrorKind.Incompatible,
                $"the agent in {options.Template ?? options.Initramfs} (version '{GuestWords.Name(agent.AgentVersion)}') speaks version '{GuestWords.Name(agent.GrpcVersion)}' of the protocol, "
                + $"and this library {HealthService.ProtocolVersion}: "
                + (options.Template is null ? "take the initramfs from the 'make images' of the same source" : "remove the template, and have one made by this library"));
        }
    }

    /// <summary>The end of what the guest said, for who wants to know why it does not start.</summary>
    private static string ConsoleEnd(SandboxFolder folder)
    {
        const int MaxBytes = 2000;
        if (!File.Exists(folder.ConsoleLog))
        {
            return "";
        }

        using FileStream log = new(folder.ConsoleLog, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        log.Position = Math.Max(0, log.Length - MaxBytes);
        byte[] words = new byte[MaxBytes];
        int count = log.ReadAtLeast(words, words.Length, throwOnEndOfStream: false);
        string text = GuestWords.Clean(System.Text.Encoding.UTF8.GetString(words, 0, count).ReplaceLineEndings("\n").Trim());
        return text.Length == 0 ? "; the guest said nothing" : $"; the guest said last:\n{text}";
    }

    /// <summary>A guest without its agent, or in panic, is of no use: the sandbox ends.</summary>
    private void Watch()
    {
        _vmm!.Happened += e =>
        {
            if (e is { Source: "guest", Name: "panic" })
            {
                _vmm.Kill();
            }

            Happened?.Invoke(e);
        };
        _ = EndWithoutAgentAsync();
    }

    /// <summary>As a rule the connection has gone because the VMM is ending, which may have something to say to others first.</summary>
    private async Task EndWithoutAgentAsync()
    {
        await _agent.Closed.ConfigureAwait(false);
        if (Volatile.Read(ref _disposed) == 0 && !await _vmm!.EndsWithinAsync(AgentConnection.EndIsNear).ConfigureAwait(false) && Volatile.Read(ref _disposed) == 0)
        {
            _vmm.Kill();
        }
    }

    /// <summary>Makes the guest a sandbox: its clock and its random numbers are its own, its name, its folders.</summary>
    private async Task EnterAsync(CancellationToken cancellation)
    {
        if (_options.Template is not null)
        {
            await RenewAsync(cancellation).ConfigureAwait(false);
        }

        List<Storage> storages = [Share(GuestPaths.SharedTag, GuestPaths.Shared, readOnly: false)];
        for (int i = 0; i < _options.Folders.Count; i++)
        {
            storages.Add(Share(GuestPaths.TagOf(i), GuestPaths.FolderOf(i), _options.Folders[i].ReadOnly));
        }

        await _agent.CallAsync<CreateSandboxRequest, Empty>(
            AgentService.CreateSandbox,
            new CreateSandboxRequest { Hostname = _options.Hostname ?? Name, Dns = _options.Dns, SandboxId = Name, Storages = storages },
            cancellation).ConfigureAwait(false);
        if (_options.Network is SandboxNetwork.Passt)
        {
            await PasstNetwork.ConfigureGuestAsync(_agent, cancellation).ConfigureAwait(false);
        }
    }

    /// <summary>Gives a guest that was saved the time of now, and random numbers that no other one from there has.</summary>
    private async Task RenewAsync(CancellationToken cancellation)
    {
        TimeSpan now = DateTimeOffset.UtcNow - DateTimeOffset.UnixEpoch;
        await _agent.CallAsync<SetGuestDateTimeRequest, Empty>(
            AgentService.SetGuestDateTime,
            new SetGuestDateTimeRequest { Sec = (long)now.TotalSeconds, Usec = (long)(now.TotalMicroseconds % 1_000_000) },
            cancellation).ConfigureAwait(false);
        await _agent.CallAsync<ReseedRandomDevRequest, Empty>(
            AgentService.ReseedRandomDev, new ReseedRandomDevRequest { Data = KernelRandom.Bytes(SeedBytes) }, cancellation).ConfigureAwait(false);
    }

    private static Storage Share(string tag, string mountPoint, bool readOnly) => new()
    {
        Driver = "virtio-fs", Source = tag, Fstype = "virtiofs", MountPoint = mountPoint, Options = readOnly ? ["ro"] : [],
    };
}
