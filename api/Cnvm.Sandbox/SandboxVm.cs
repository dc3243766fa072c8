using Cnvm.Agent.Protocol;
using Cnvm.Sandbox.Agent;
using Cnvm.Sandbox.Machine;
using Cnvm.Sandbox.Networks;
using Cnvm.Ttrpc;

namespace Cnvm.Sandbox;

/// <summary>
/// A virtual machine that containers run in: a <c>cnvm-vmm</c> process of its own, and the agent in its guest. Any thread. Whatever is called when
/// the VMM or the agent has gone, or goes, fails with <see cref="SandboxErrorKind.Gone"/>. Dispose it to end it; nothing of it is left then.
/// </summary>
public sealed partial class SandboxVm : IAsyncDisposable
{
    private readonly SandboxOptions _options;
    private readonly SandboxFolder _folder;
    private readonly VmmProcess? _vmm;
    private readonly AgentConnection _agent;
    private readonly VmmApi _api;
    private int _disposed;

    private SandboxVm(SandboxOptions options, string name, SandboxFolder folder, VmmProcess? vmm, AgentConnection agent)
    {
        _options = options;
        Name = name;
        _folder = folder;
        _vmm = vmm;
        _agent = agent;
        _api = new VmmApi(folder.ApiSocket);
    }

    /// <summary>Its name, also among the VMs that <c>cnvm ps</c> lists.</summary>
    public string Name { get; }

    /// <summary>Its own folder on the host.</summary>
    public string Folder => _folder.Path;

    /// <summary>The file that gets what the guest's kernel and agent say; it has the newest 1 MiB at most.</summary>
    public string ConsoleLog => _folder.ConsoleLog;

    /// <summary>Process id of the VMM; 0 when it was started by another process.</summary>
    public int VmmProcessId => _vmm?.Id ?? 0;

    /// <summary>Path of the VMM's REST socket.</summary>
    public string ApiSocket => _folder.ApiSocket;

    /// <summary>Completes, and never fails, when the VMM has ended; of a sandbox that was attached to, when the connection has.</summary>
    public Task<SandboxEnd> Ended => _vmm?.Ended ?? EndOfConnectionAsync();

    /// <summary>Told of what happens in the VMM, on a thread that must not be kept.</summary>
    public event Action<VmmEvent>? Happened;

    /// <summary>What the agent says of itself and its guest.</summary>
    /// <exception cref="SandboxException">The agent refuses, or has gone.</exception>
    public Task<GuestDetailsResponse> GetGuestDetailsAsync(CancellationToken cancellation = default) =>
        _agent.CallAsync<GuestDetailsRequest, GuestDetailsResponse>(AgentService.GetGuestDetails, new GuestDetailsRequest(), cancellation);

    /// <summary>Stops the guest's processors; <see cref="ResumeAsync"/> lets them go on.</summary>
    /// <exception cref="SandboxException">The VMM refuses, or has gone.</exception>
    public Task PauseAsync(CancellationToken cancellation = default) => _api.CallAsync("PUT", "vm.pause", null, cancellation);

    /// <summary>Lets a paused guest go on.</summary>
    /// <inheritdoc cref="PauseAsync"/>
    public Task ResumeAsync(CancellationToken cancellation = default) => _api.CallAsync("PUT", "vm.resume", null, cancellation);

    /// <summary>Saves the guest, which is paused meanwhile and goes on afterwards.</summary>
    /// <param name="folder">Made if it is missing; has the snapshot then.</param>
    /// <param name="cancellation">Gives up waiting; the snapshot may be finished all the same.</param>
    /// <exception cref="SandboxException">The VMM refuses, or has gone.</exception>
    public async Task SnapshotAsync(string folder, CancellationToken cancellation = default)
    {
        await PauseAsync(cancellation).ConfigureAwait(false);
        try
        {
            await SaveAsync(folder, cancellation).ConfigureAwait(false);
        }
        finally
        {
            await ResumeAsync(CancellationToken.None).ConfigureAwait(false);
        }
    }

    /// <summary>Waits until the guest has run out of memory in a container.</summary>
    /// <returns>The container's name. Ask again for the next time.</returns>
    /// <exception cref="SandboxException">The sandbox ends first.</exception>
    public async Task<string> WaitForOutOfMemoryAsync(CancellationToken cancellation = default) =>
        (await _agent.WaitAsync<GetOOMEventRequest, OOMEvent>(AgentService.GetOOMEvent, new GetOOMEventRequest(), cancellation).ConfigureAwait(false)).ContainerId;

    /// <summary>Copies a regular file into the guest, whose folders are made if they are missing.</summary>
    /// <param name="source">File of this host.</param>
    /// <param name="guestPath">
    /// Absolute path in the guest, not in a container: what a container has there, it finds below its root file system's place.
    /// </param>
    /// <param name="cancellation">Gives up between two parts; a part of the file is there then.</param>
    /// <exception cref="SandboxException">The agent refuses, or has gone.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public async Task CopyToGuestAsync(string source, string guestPath, CancellationToken cancellation = default)
    {
        const int PartBytes = 1 << 20;
        const uint RegularFile = 0x8000;
        const uint FolderMode = 0x1ed;
        await using var file = new FileStream(source, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
        uint mode = RegularFile | (uint)File.GetUnixFileMode(source);
        byte[] part = new byte[PartBytes];
        long size = file.Length;
        long offset = 0;
        do
        {
            int count = await file.ReadAtLeastAsync(part, part.Length, throwOnEndOfStream: false, cancellation).ConfigureAwait(false);
            if (count == 0 && offset < size)
            {
                throw new SandboxException(SandboxErrorKind.Host, $"{source} became shorter while it was copied");
            }

            await _agent.CallAsync<CopyFileRequest, Empty>(
                AgentService.CopyFile,
                new CopyFileRequest
                {
                    Path = guestPath, FileSize = size, FileMode = mode, DirMode = FolderMode, Uid = 0, Gid = 0, Offset = offset, Data = part.AsMemory(0, count),
                },
                cancellation).ConfigureAwait(false);
            offset += count;
        }
        while (offset < size);
    }

    /// <summary>Ends the sandbox, whatever runs in it, and removes what it had on the host. One that was attached to only loses the connection.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        _vmm?.Expect();
        await _agent.DisposeAsync().ConfigureAwait(false);
        if (_vmm is not null)
        {
            await _vmm.DisposeAsync().ConfigureAwait(false);
            NamespaceNetwork.Leave(_folder);
            _folder.Remove();
        }
    }

    private static SandboxEnd ConnectionEnded { get; } = new(0, "the connection to the guest's agent has ended", IsExpected: false);

    private async Task<SandboxEnd> EndOfConnectionAsync()
    {
        await _agent.Closed.ConfigureAwait(false);
        return ConnectionEnded;
    }

    private async Task SaveAsync(string folder, CancellationToken cancellation)
    {
        folder = Path.GetFullPath(folder);
        Directory.CreateDirectory(folder);
        string url = System.Text.Json.Nodes.JsonValue.Create($"file://{folder}").ToJsonString();
        await _api.CallAsync("PUT", "vm.snapshot", $$"""{"destination_url":{{url}}}""", cancellation).ConfigureAwait(false);
    }
}
