using System.Net.Sockets;
using System.Text;
using Cnvm.Agent.Protocol;
using Cnvm.Nested;

namespace Cnvm.Sandbox.Tests.Support;

/// <summary>
/// A program in place of cnvm-vmm: a script that writes its arguments down, says the event that a guest's vsock makes, and waits to be killed. Its sockets
/// are this process's, made when it has begun.
/// </summary>
internal sealed class FakeVmm : IAsyncDisposable
{
    private readonly TemporaryDirectory _folder = new(Path.GetTempPath(), "cnvm-fake-");
    private readonly List<Task> _serving = [];
    private readonly CancellationTokenSource _end = new();
    private readonly int _refusals;
    private readonly string _event;
    private readonly string _protocol;

    /// <param name="refusals">Connections that the vsock refuses at first.</param>
    /// <param name="happened">The event, as SOURCE NAME.</param>
    /// <param name="instead">A line that the program runs instead of everything else.</param>
    /// <param name="protocol">The version of the protocol that the agent says it speaks.</param>
    public FakeVmm(int refusals = 0, string happened = "virtio-device activated", string? instead = null, string protocol = HealthService.ProtocolVersion)
    {
        _refusals = refusals;
        _protocol = protocol;
        _event = happened;
        Program = _folder.File("cnvm-vmm");
        File.WriteAllText(Program, $$"""
            #!/bin/bash
            {{instead}}
            for word; do
                [ "$previous" = --event-monitor ] && fd=${word#fd=}
                previous=$word
            done
            printf '%s\n' "$@" >"{{_folder.Path}}/args.new"
            mv "{{_folder.Path}}/args.new" "{{_folder.Path}}/args"
            cat "{{_folder.Path}}/go" >&"$fd"
            exec -a "cnvm-vmm $*" sleep 300
            """);
        File.SetUnixFileMode(Program, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        using var fifo = System.Diagnostics.Process.Start("mkfifo", _folder.File("go"));
        fifo.WaitForExit();
    }

    public string Program { get; }

    /// <summary>What the REST socket was asked: method, endpoint and body.</summary>
    public List<string> Calls { get; } = [];

    public FakeAgent? Agent { get; private set; }

    public string[] Arguments => File.ReadAllLines(_folder.File("args"));

    /// <summary>Options of a sandbox that this program is the VMM of.</summary>
    public SandboxOptions Options => new()
    {
        VmmPath = Program, Kernel = Program, Initramfs = Program, Folder = _folder.File("sandbox"), StartTimeout = TimeSpan.FromSeconds(30),
    };

    /// <summary>Starts a sandbox, and is its guest.</summary>
    public async Task<SandboxVm> StartAsync(SandboxOptions options, CancellationToken cancellation = default)
    {
        Task<SandboxVm> starting = SandboxVm.StartAsync(options, cancellation);
        _serving.Add(AppearAsync(options.Folder!));
        return await starting;
    }

    /// <summary>Is the guest of a sandbox whose start is under way.</summary>
    public async Task AppearAsync(string folder)
    {
        // Opening waits until the program reads.
        await using var go = await Task.Run(() => new FileStream(_folder.File("go"), FileMode.Open, FileAccess.Write)).WaitAsync(TimeSpan.FromSeconds(20));
        Agent = new FakeAgent(Path.Combine(folder, "vsock.sock"), _refusals, _protocol);
        _serving.Add(ServeApiAsync(Path.Combine(folder, "api.sock")));
        string[] words = _event.Split(' ');
        string text = $$$"""{"timestamp":{"secs":0,"nanos":1},"source":"{{{words[0]}}}","event":"{{{words[1]}}}","properties":{"id":"_vsock1"}}""" + "\n\n";
        await go.WriteAsync(Encoding.UTF8.GetBytes(text));
    }

    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync();
        if (Agent is not null)
        {
            await Agent.DisposeAsync();
        }

        await Task.WhenAll(_serving);
        _end.Dispose();
        _folder.Dispose();
    }

    private async Task ServeApiAsync(string path)
    {
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen();
        try
        {
            while (true)
            {
                using Socket connection = await listener.AcceptAsync(_end.Token);
                byte[] buffer = new byte[4096];
                int count = await connection.ReceiveAsync(buffer, _end.Token);
                string[] parts = Encoding.UTF8.GetString(buffer, 0, count).Split("\r\n\r\n");
                string call = $"{parts[0].Split(' ')[0]} {parts[0].Split(' ')[1]["/api/v1/".Length..]} {parts[1]}".Trim();
                lock (Calls)
                {
                    Calls.Add(call);
                }

                string answer = call.Contains("refuse", StringComparison.Ordinal) ? "HTTP/1.1 500 \r\nContent-Length: 8\r\n\r\n[\"full\"]"
                    : call.Contains("vm.add-", StringComparison.Ordinal) ? "HTTP/1.1 200 \r\nContent-Length: 29\r\n\r\n{\"id\":\"x\",\"bdf\":\"0:00:06.0\" }"
                    : "HTTP/1.1 204 \r\n\r\n";
                await connection.SendAsync(Encoding.ASCII.GetBytes(answer), _end.Token);
            }
        }
        catch (OperationCanceledException)
        {
            // Disposed.
            return;
        }
    }
}
