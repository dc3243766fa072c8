namespace Cnvm.Cli.Tests;

/// <summary>What ssh is called with.</summary>
public sealed class SshTargetTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-ssh-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    /// <summary>The user's options come first, of which ssh takes the first; the command is one word for the shell there.</summary>
    [Fact]
    public void A_host_that_goes_silently_is_noticed()
    {
        string program = Path.Combine(_folder, "ssh");
        File.WriteAllText(program, "#!/bin/sh\nprintf '%s\\n' \"$@\"\n");
        File.SetUnixFileMode(program, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        using SshCommand command = new SshTarget($"{program} -4 -o ServerAliveInterval=3", "me@there", "cnvm").Start(["__arrive", "it's"]);
        List<string> words = [];
        while (command.ReadLine() is { } word)
        {
            words.Add(word);
        }

        Assert.Equal(
            ["-4", "-o", "ServerAliveInterval=3", "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4", "me@there", "'cnvm' '__arrive' 'it'\\''s'"], words);
    }
}
