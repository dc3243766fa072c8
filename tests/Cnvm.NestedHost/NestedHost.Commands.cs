using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace Cnvm.Nested;

public sealed partial class NestedHost
{
    private static readonly TimeSpan DefaultTimeout = TimeSpan.FromSeconds(120);
    private static readonly TimeSpan BrokenConnectionPatience = TimeSpan.FromSeconds(10);
    private int _commands;
    private int _sockets;

    /// <inheritdoc/>
    /// <remarks>The command runs as root.</remarks>
    /// <exception cref="NestedHostException">The host died; the message has the console's tail.</exception>
    public async Task<CommandResult> RunAsync(
        string command, TimeSpan? timeout = null, string? input = null, CancellationToken cancellation = default)
    {
        ObjectDisposedException.ThrowIf(_disposed != 0, this);
        return await RunOnceAsync(command, timeout ?? DefaultTimeout, input, cancellation).ConfigureAwait(false);
    }

    /// <summary>Starts a bash command as root in the host; its output can be waited for while it runs.</summary>
    /// <param name="command">A bash command line.</param>
    /// <param name="terminal">True: on a pseudo-terminal, where output and error are one and Ctrl-C works.</param>
    public async Task<NestedProcess> StartProcessAsync(string command, bool terminal = false)
    {
        ObjectDisposedException.ThrowIf(_disposed != 0, this);
        var (start, name) = SshStart(command, terminal ? "-tt" : "-T", terminal);
        start.RedirectStandardInput = start.RedirectStandardOutput = start.RedirectStandardError = true;
        return new NestedProcess(this, name, await BoundProcess.StartAsync(start).ConfigureAwait(false));
    }

    /// <inheritdoc/>
    async Task<HostProcess> ICommandHost.StartAsync(string command) => await StartProcessAsync(command).ConfigureAwait(false);

    /// <summary>
    /// Runs a command on the terminal (or the pipes) of this process and returns its exit code. An empty command is a login shell.
    /// </summary>
    public async Task<int> RunHereAsync(string command)
    {
        ObjectDisposedException.ThrowIf(_disposed != 0, this);
        var terminal = !System.Console.IsInputRedirected && !System.Console.IsOutputRedirected;
        var (start, _) = SshStart(command.Length == 0 ? "exec /bin/bash -l" : command, terminal ? "-tt" : "-T", terminal);
        using var process = await BoundProcess.StartAsync(start).ConfigureAwait(false);
        await process.WaitForExitAsync().ConfigureAwait(false);
        return process.ExitCode == 255 && _qemu.HasExited ? throw Died() : process.ExitCode;
    }

    /// <summary>
    /// Makes a TCP port of the host (a server there must listen on 0.0.0.0 or 10.0.2.15) reachable on 127.0.0.1 of this machine.
    /// </summary>
    /// <returns>The port on 127.0.0.1, the same one for every call.</returns>
    public async Task<int> ForwardAsync(int port, CancellationToken cancellation = default)
    {
        await _forwarding.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            if (!_forwards.TryGetValue(port, out var local))
            {
                var answer = await _qmp.MonitorAsync(
                    string.Create(CultureInfo.InvariantCulture, $"hostfwd_add control tcp:127.0.0.1:0-10.0.2.15:{port}"), cancellation)
                    .ConfigureAwait(false);
                if (answer.Trim().Length > 0)
                {
                    throw new NestedHostException($"port {port} cannot be forwarded: {answer.Trim()}");
                }

                local = await ForwardedPortAsync(port, cancellation).ConfigureAwait(false);
                _forwards.Add(port, local);
            }

            return local;
        }
        finally
        {
            _forwarding.Release();
        }
    }

    /// <summary>Makes a Unix stream socket of the host reachable on this machine. The socket there need not exist yet.</summary>
    /// <returns>The path of the socket here; gone after <see cref="DisposeAsync"/>.</returns>
    public async Task<string> ForwardUnixAsync(string path, CancellationToken cancellation = default)
    {
        var number = Interlocked.Increment(ref _sockets);
        var port = 20000 + number;
        var local = _directory.File($"socket-{number}");
        // Dropbear forwards TCP only, so socat turns TCP on the host's loopback into the Unix socket. Once one side has ended its half of a
        // connection, the other has half a second there by default, which an emulated machine can take for an answer.
        var bridge = await StartProcessAsync(string.Create(
            CultureInfo.InvariantCulture,
            $"socat -t 3600 -d -d TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork UNIX-CONNECT:{Shell.Quote(path)}")).ConfigureAwait(false);
        await bridge.WaitForAsync("listening on", DefaultTimeout, cancellation: cancellation).ConfigureAwait(false);
        var start = new ProcessStartInfo("ssh") { RedirectStandardError = true };
        AddConnection(start);
        Array.ForEach(["-O", "forward", "-L", $"{local}:127.0.0.1:{port}", "cnvm-nested-host"], start.ArgumentList.Add);
        using var ssh = await BoundProcess.StartAsync(start).ConfigureAwait(false);
        var error = await ssh.StandardError.ReadToEndAsync(cancellation).ConfigureAwait(false);
        await ssh.WaitForExitAsync(cancellation).ConfigureAwait(false);
        return ssh.ExitCode == 0 ? local : throw new NestedHostException($"{path} cannot be forwarded: {error}");
    }

    /// <inheritdoc/>
    /// <remarks>The host's memory holds the file.</remarks>
    public async Task CopyToAsync(string localPath, string path, CancellationToken cancellation = default)
    {
        var (start, _) = SshStart($"cat >{Shell.Quote(path)}", "-T", terminal: false);
        start.RedirectStandardInput = start.RedirectStandardError = true;
        using var ssh = await BoundProcess.StartAsync(start).ConfigureAwait(false);
        var error = ssh.StandardError.ReadToEndAsync(cancellation);
        await using (var file = File.OpenRead(localPath))
        {
            await file.CopyToAsync(ssh.StandardInput.BaseStream, cancellation).ConfigureAwait(false);
        }

        ssh.StandardInput.Close();
        await ssh.WaitForExitAsync(cancellation).ConfigureAwait(false);
        if (ssh.ExitCode != 0)
        {
            throw new NestedHostException($"{path} cannot be written: {await error.ConfigureAwait(false)}");
        }
    }

    /// <summary>Kills a command by its name, with everything it started.</summary>
    internal async Task KillCommandAsync(string name, TimeSpan? timeout = null) =>
        await RunOnceAsync($"kill -s KILL -- -$(cat /run/cnvm/pids/{name}) 2>/dev/null", timeout ?? DefaultTimeout, null, default, isKill: true)
            .ConfigureAwait(false);

    internal NestedHostException Died() => new($"{Frozen ?? "the nested host died"}\n{_console.Tail}");

    internal bool IsAlive => _disposed == 0 && !_qemu.HasExited;

    [GeneratedRegex(@"HOST_FORWARD\]\s+\S+\s+127\.0\.0\.1\s+(\d+)\s+10\.0\.2\.15\s+(\d+)")]
    private static partial Regex ForwardLine();

    private async Task<CommandResult> RunOnceAsync(
        string command, TimeSpan timeout, string? input, CancellationToken cancellation, bool isKill = false)
    {
        var (start, name) = SshStart(command, "-T", terminal: false);
        start.RedirectStandardInput = start.RedirectStandardOutput = start.RedirectStandardError = true;
        using var ssh = await BoundProcess.StartAsync(start).ConfigureAwait(false);
        var output = new OutputLog(null, ssh.StandardOutput.BaseStream);
        var error = new OutputLog(null, ssh.StandardError.BaseStream);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(timeout);
        try
        {
            await FeedAsync(ssh, input, limit.Token).ConfigureAwait(false);
            await Task.WhenAll(output.Ended, error.Ended).WaitAsync(limit.Token).ConfigureAwait(false);
            await ssh.WaitForExitAsync(limit.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            if (!_qemu.HasExited && !isKill)
            {
                await KillCommandAsync(name).ConfigureAwait(false);
            }

            Kill(ssh);
            cancellation.ThrowIfCancellationRequested();
            throw new TimeoutException(
                $"'{command}' took more than {timeout.TotalSeconds:F0} s in the nested host\n{output.Tail}\n{error.Tail}\nconsole:\n{_console.Tail}");
        }

        // 255 is also what ssh itself returns when the connection broke, perhaps before the end of what broke it is known.
        if (ssh.ExitCode == 255 && await HasEndedAsync().ConfigureAwait(false))
        {
            throw Died();
        }

        return new CommandResult(ssh.ExitCode, output.Text, error.Text);
    }

    private async Task<bool> HasEndedAsync()
    {
        if (_master is { } master)
        {
            using var limit = new CancellationTokenSource(BrokenConnectionPatience);
            await Task.WhenAny(_qemu.WaitForExitAsync(limit.Token), master.WaitForExitAsync(limit.Token)).ConfigureAwait(false);
            if (_qemu.HasExited || master.HasExited)
            {
                // The connection breaks before the last of the console, which says why, has come.
                await _console.Ended.WaitAsync(limit.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }

        return _qemu.HasExited || _master is { HasExited: true };
    }

    private static async Task FeedAsync(Process process, string? input, CancellationToken cancellation)
    {
        try
        {
            await process.StandardInput.WriteAsync(input.AsMemory(), cancellation).ConfigureAwait(false);
            process.StandardInput.Close();
        }
        catch (IOException)
        {
            // The command ended without reading all of its input, as it may.
            return;
        }
    }

    private (ProcessStartInfo Start, string Name) SshStart(string command, string mode, bool terminal)
    {
        var name = Interlocked.Increment(ref _commands).ToString(CultureInfo.InvariantCulture);
        var start = new ProcessStartInfo("ssh");
        AddConnection(start);
        var line = $"set -- {name} {Shell.Quote(command)}{(terminal ? " terminal" : "")}; . /run/cnvm/start/run";
        Array.ForEach([mode, "cnvm-nested-host", line], start.ArgumentList.Add);
        return (start, name);
    }

    private void AddConnection(ProcessStartInfo start)
    {
        Array.ForEach(
            [
                "-F", "/dev/null", "-S", _directory.File("control"), "-i", _directory.File("key"),
                "-p", _sshPort.ToString(CultureInfo.InvariantCulture), "-l", "root",
            ],
            start.ArgumentList.Add);
        foreach (var option in (string[])
            [
                "HostName=127.0.0.1", "HostKeyAlias=cnvm-nested-host", $"UserKnownHostsFile={_directory.File("known_hosts")}",
                "GlobalKnownHostsFile=/dev/null", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes", "IdentityAgent=none", "BatchMode=yes",
                "LogLevel=ERROR", "EscapeChar=none",
            ])
        {
            start.ArgumentList.Add("-o");
            start.ArgumentList.Add(option);
        }
    }

    /// <summary>One connection carries every command; it ends with QEMU, or when its standard input closes.</summary>
    private async Task ConnectMasterAsync(CancellationToken cancellation)
    {
        var start = new ProcessStartInfo("ssh")
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        AddConnection(start);
        Array.ForEach(["-M", "-o", "ControlPersist=no", "-T", "cnvm-nested-host", "echo connected; exec cat"], start.ArgumentList.Add);
        _master = await BoundProcess.StartAsync(start).ConfigureAwait(false);
        var output = new OutputLog(null, _master.StandardOutput.BaseStream, _master.StandardError.BaseStream);
        if (await output.WaitAsync("connected", 0, null, cancellation).ConfigureAwait(false) < 0)
        {
            throw new NestedHostException($"no connection to the nested host: {output.Text.Trim()}");
        }
    }

    private async Task<int> ForwardedPortAsync(int port, CancellationToken cancellation)
    {
        var table = await _qmp.MonitorAsync("info usernet", cancellation).ConfigureAwait(false);
        var wanted = port.ToString(CultureInfo.InvariantCulture);
        var line = ForwardLine().Matches(table).FirstOrDefault(match => match.Groups[2].Value == wanted)
            ?? throw new NestedHostException($"QEMU does not forward port {port}:\n{table}");
        return int.Parse(line.Groups[1].Value, CultureInfo.InvariantCulture);
    }
}
