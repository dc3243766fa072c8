using System.Text.Json;
using System.Text.Json.Nodes;
using Cnvm.Sandbox.Networks;

namespace Cnvm.Sandbox.Machine;

/// <summary>A snapshot that many sandboxes go on from: each has a configuration that names its own files, and shares the rest.</summary>
internal static class TemplateFolder
{
    private const string Configuration = "config.json";

    /// <summary>Makes what a sandbox is restored from.</summary>
    /// <param name="folders">In place of those that the template was made with.</param>
    /// <param name="joined">What the guest gets of a network namespace, in place of what it was saved with; null leaves that as it is.</param>
    /// <exception cref="SandboxException">The template is none, or has other folders or interfaces.</exception>
    public static void Prepare(string template, SandboxFolder folder, IReadOnlyList<SharedFolder> folders, NamespaceNetwork? joined)
    {
        template = Path.GetFullPath(template);
        Directory.CreateDirectory(folder.Template);
        try
        {
            foreach (string file in Directory.EnumerateFiles(template))
            {
                string name = Path.GetFileName(file);
                if (name != Configuration)
                {
                    File.CreateSymbolicLink(Path.Combine(folder.Template, name), file);
                }
            }

            JsonObject config = JsonNode.Parse(File.ReadAllText(Path.Combine(template, Configuration)))!.AsObject();
            config["vsock"]!["socket"] = folder.VsockSocket;
            config["serial"]!["file"] = folder.ConsoleLog;
            config["serial"]!["file_size"] = SandboxFolder.LogLimit;
            JsonArray shares = config["fs"]!.AsArray();
            if (shares.FirstOrDefault(s => (string?)s!["tag"] == GuestPaths.SharedTag) is { } shared)
            {
                shared["path"] = folder.Shared;
                shared["readonly"] = folder.SharedIsReadOnly;
            }

            for (int i = 0; i < folders.Count; i++)
            {
                Replace(shares, GuestPaths.TagOf(i), Path.GetFullPath(folders[i].Path), folders[i].ReadOnly);
            }

            joined?.TakeOver(config["net"] as JsonArray);
            File.WriteAllText(Path.Combine(folder.Template, Configuration), config.ToJsonString());
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or NullReferenceException or DirectoryNotFoundException or FileNotFoundException)
        {
            throw new SandboxException(
                SandboxErrorKind.Invalid, $"{template} is no template of a sandbox (MakeTemplateAsync makes one): {e.Message}", e);
        }

        void Replace(JsonArray shares, string tag, string path, bool readOnly)
        {
            foreach (JsonNode? share in shares)
            {
                if ((string?)share!["tag"] == tag && ((bool?)share["readonly"] ?? false) == readOnly)
                {
                    share["path"] = path;
                    return;
                }
            }

            throw new SandboxException(
                SandboxErrorKind.Invalid, $"{path} has no place in the template {template}: it was made with fewer folders, or with one that is {(readOnly ? "not " : "")}read-only there");
        }
    }
}
