from fanoutfs.cli import main

main()
