namespace Cnvm.CommandLine;

/// <summary>What <c>containerd-shim-cnvm-v2 --help</c> prints.</summary>
internal static class ShimHelp
{
    public const string Program = "containerd-shim-cnvm-v2";

    public const string Text =
        """
        containerd-shim-cnvm-v2: runs containerd's containers in virtual machines, one for each pod.

        Usage:
          ctr run --rm --runtime io.containerd.cnvm.v2 IMAGE NAME [COMMAND]
          containerd starts this program; nobody else has to.

        Set-up:
          The program lies in containerd's PATH, or the runtime is named by its absolute path.
          For Kubernetes, in /etc/containerd/config.toml:
            [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.cnvm]
              runtime_type = "io.containerd.cnvm.v2"
              [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.cnvm.options]
                ConfigPath = "/etc/cnvm/sandbox.toml"
          and a RuntimeClass with the handler 'cnvm'.

        Configuration file:
          TOML, all of it optional; ctr takes its path with --runtime-config-path:
            [sandbox]
            vmm = "/usr/bin/cnvm-vmm"    # without: CNVM_VMM, beside this program, or in PATH
            kernel = "/path"             # without: cnvm's own, from CNVM_IMAGES
            initramfs = "/path"          # the same
            command_line = ""            # words for the guest's kernel
            cpus = 1                     # of a pod without a limit of its own
            memory = "256M"              # of a pod without a limit; with one, what the guest gets beside it

        What containerd gives:
          -namespace NAME        containerd's namespace
          -address PATH          containerd's socket
          -id NAME               the container
          -bundle DIR            its folder, with 'delete'
          -publish-binary PATH   not used: events go to TTRPC_ADDRESS
          -debug                 log more, into the bundle's FIFO 'log' and so into containerd's log
          start                  make a process that serves the container, print its address
          delete                 take away what a process that is gone has left
          -info                  describe the runtime (containerd 2)
          -v                     version
          -h, --help             this text

        Outputs:
          A FIFO's path, file:///PATH, or binary:///PROGRAM?NAME=VALUE: a program that reads stdout from descriptor 3 and
          stderr from 4, closes 5 when it is ready, and has CONTAINER_ID and CONTAINER_NAMESPACE in its environment.

        What it does not have:
          A network interface in the guest for what the network namespace has, hooks, and root file systems on
          loop devices. A checkpoint is the whole virtual machine's state, of a container that is alone in it.

        Exit code: 0; 1 after an error; 2 after a wrong command line.
        """;
}
