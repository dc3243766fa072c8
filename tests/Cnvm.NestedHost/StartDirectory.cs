using System.Diagnostics;
using System.Reflection;

namespace Cnvm.Nested;

/// <summary>
/// The temporary directory of one start: throw-away keys, sockets, the console's log, and under <c>guest/</c> what the nested host
/// copies to its /run/cnvm/start. Removed at the end.
/// </summary>
internal sealed class StartDirectory : IDisposable
{
    private const string Prefix = "cnvm-nested-";
    private readonly TemporaryDirectory _directory = new(System.IO.Path.GetTempPath(), Prefix);

    private StartDirectory()
    {
    }

    public string Path => _directory.Path;

    public string File(string name) => _directory.File(name);

    public static async Task<StartDirectory> CreateAsync(NestedHostOptions options, CancellationToken cancellation)
    {
        var directory = new StartDirectory();
        try
        {
            await directory.FillAsync(options, cancellation).ConfigureAwait(false);
            return directory;
        }
        catch
        {
            directory.Dispose();
            throw;
        }
    }

    public void Dispose() => _directory.Dispose();

    private async Task FillAsync(NestedHostOptions options, CancellationToken cancellation)
    {
        Directory.CreateDirectory(File("guest"));
        await ExecuteAsync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "cnvm", "-f", File("key")], cancellation).ConfigureAwait(false);
        System.IO.File.Copy(File("key.pub"), File("guest/authorized_keys"));
        var printed = await ExecuteAsync("dropbearkey", ["-t", "ed25519", "-f", File("guest/host-key")], cancellation).ConfigureAwait(false);
        var hostKey = printed.Split('\n').First(line => line.StartsWith("ssh-ed25519 ", StringComparison.Ordinal));
        await WriteAsync("known_hosts", $"cnvm-nested-host {hostKey}\n").ConfigureAwait(false);
        await WriteAsync("guest/checkout", Repository.Root + "\n").ConfigureAwait(false);
        await WriteAsync("guest/settings", $"""
            LINK_ADDRESS={(options.Link is null ? "" : options.Link.Address + "/24")}
            SHARED={Shell.Quote(options.SharedDirectory ?? "")}

            """).ConfigureAwait(false);
        await WriteAsync("guest/run", $"""
            # run NAME COMMAND [terminal]: the caller's search path, its repository as the current directory, and a process group of its
            # own whose number is kept, so that everything the command started can be ended.
            export PATH={Shell.Quote(Environment.GetEnvironmentVariable("PATH") ?? "/usr/bin:/bin")}
            export DOTNET_ROOT={Shell.Quote(Environment.GetEnvironmentVariable("DOTNET_ROOT") ?? "")}
            [ -n "$DOTNET_ROOT" ] || unset DOTNET_ROOT
            export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 LC_ALL=C.UTF-8
            cd {Shell.Quote(Repository.Root)} || exit 1
            if [ "$3" = terminal ]; then
                echo $$ >"/run/cnvm/pids/$1"
                exec /bin/bash -c "$2"
            fi
            exec /usr/bin/setsid --wait /bin/bash -c 'echo $$ >"/run/cnvm/pids/$1"; eval "$2"' command "$1" "$2"

            """).ConfigureAwait(false);
        using var script = Assembly.GetExecutingAssembly().GetManifestResourceStream("guest-init.sh")!;
        using var init = System.IO.File.Create(File("guest/init"));
        await script.CopyToAsync(init, cancellation).ConfigureAwait(false);
    }

    private Task WriteAsync(string name, string text) => System.IO.File.WriteAllTextAsync(File(name), text);

    private static async Task<string> ExecuteAsync(string program, string[] arguments, CancellationToken cancellation)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        try
        {
            using var process = await BoundProcess.StartAsync(start).ConfigureAwait(false);
            var error = process.StandardError.ReadToEndAsync(cancellation);
            var output = await process.StandardOutput.ReadToEndAsync(cancellation).ConfigureAwait(false);
            await process.WaitForExitAsync(cancellation).ConfigureAwait(false);
            return process.ExitCode == 0
                ? output
                : throw new NestedHostException($"{program} failed: {await error.ConfigureAwait(false)}");
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw new NestedHostException($"cannot run {program}: {e.Message}; 'make deps' installs it", e);
        }
    }
}
