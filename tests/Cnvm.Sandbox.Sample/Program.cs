using Cnvm.Sandbox;
using Cnvm.Sandbox.Images;

// Runs a command in an image, in a virtual machine of its own: sample KERNEL INITRAMFS IMAGE COMMAND...
ContainerImage image = await new ImageStore(ImageStore.DefaultFolder).OpenAsync(args[2]);

await using SandboxVm sandbox = await SandboxVm.StartAsync(new SandboxOptions
{
    Kernel = args[0],
    Initramfs = args[1],
    MemoryBytes = 256L << 20,
    Folders = [new SharedFolder(image.Rootfs, ReadOnly: true)],
});

Container container = await sandbox.CreateContainerAsync(
    "sample", new ContainerOptions(new ContainerRootfs(image.Rootfs), new ProcessOptions(args[3..])));
await container.StartAsync();
await container.Process.StandardInput.DisposeAsync();
await container.Process.StandardOutput.CopyToAsync(Console.OpenStandardOutput());
return await container.Process.WaitAsync();
